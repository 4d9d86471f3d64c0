"""Which picture goes to which subset, by count and by share."""

from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.splitting.subsets import assign_by_count, assign_by_share, assign_up_to, join, sizes_by_share

shares = st.tuples(*[st.floats(0.01, 0.98)] * 3).map(lambda t: dict(zip(SUBSETS, (x / sum(t) for x in t), strict=True)))


def sizes_of(labels, subsets):
    """The number of pictures in each subset, for each class."""
    return {
        label: {s: sum(labels[i] == label and each == s for i, each in subsets.items()) for s in SUBSETS}
        for label in dict.fromkeys(labels)
    }


@given(st.data())
def test_what_is_related_is_joined_and_nothing_else(data):
    count = data.draw(st.integers(1, 12))
    relations = data.draw(st.lists(st.lists(st.integers(0, count - 1), min_size=1, max_size=4), max_size=5))
    units = join(count, relations)
    assert sorted(index for unit in units for index in unit) == list(range(count))
    assert units == sorted(sorted(unit) for unit in units)
    reach = {index: {index} for index in range(count)}
    for _ in range(count):
        for related in relations:
            everything = set().union(*(reach[index] for index in related))
            reach |= {index: reach[index] | everything for index in related}
    assert all(sorted(reach[index]) == unit for unit in units for index in unit)


@given(st.data())
def test_no_group_of_duplicates_is_in_two_subsets(data):
    sizes = {subset: data.draw(st.integers(1, 5)) for subset in SUBSETS}
    total = sum(sizes.values())
    labels = [label for label in "abc"[: data.draw(st.integers(2, 3))] for _ in range(total)]
    group_of = data.draw(st.lists(st.integers(0, 12), min_size=len(labels), max_size=len(labels)))
    groups = [[i for i, g in enumerate(group_of) if g == wanted] for wanted in range(5)]
    groups = [group for group in groups if len(group) > 1]
    try:
        subsets = assign_by_count(labels, groups, sizes)
    except InputError as error:
        assert "are copies of others" in str(error)
        return
    assert all(len({subsets[index] for index in group}) == 1 for group in groups)
    assert sizes_of(labels, subsets) == dict.fromkeys(labels, sizes)


@given(st.integers(3, 5000), shares)
def test_shares_are_kept_to_less_than_a_picture_but_never_to_none(count, shares):
    sizes = sizes_by_share(count, shares)
    assert sum(sizes.values()) == count
    assert min(sizes.values()) >= 1
    exact = [shares[subset] * count for subset in SUBSETS]
    if min(exact) >= 1:
        assert all(abs(sizes[subset] - quota) < 1 for subset, quota in zip(SUBSETS, exact, strict=True))


@st.composite
def labels_and_units(draw):
    """Pictures of two to four classes, three or more of each, in units of which none or some have several classes."""
    counts = draw(st.lists(st.integers(3, 30), min_size=2, max_size=4))
    labels = [label for label, count in zip("abcd", counts, strict=False) for _ in range(count)]
    most = draw(st.sampled_from([2, 4, 10, 60]))
    group_of = draw(st.lists(st.integers(0, most), min_size=len(labels), max_size=len(labels)))
    if draw(st.booleans()):
        group_of = [f"{label}{group}" for label, group in zip(labels, group_of, strict=True)]
    return labels, [[i for i, g in enumerate(group_of) if g == wanted] for wanted in dict.fromkeys(group_of)]


def is_pure(labels, units):
    return all(len({labels[index] for index in unit}) == 1 for unit in units)


def has_three_units_of_each(labels, units):
    return all(sum(label in {labels[i] for i in unit} for unit in units) >= 3 for label in labels)


@given(labels_and_units(), st.data())
def test_by_share_no_unit_is_in_two_subsets_and_every_class_is_in_each(pictures, data):
    labels, units = pictures
    sizes = {label: sizes_by_share(labels.count(label), data.draw(shares)) for label in dict.fromkeys(labels)}
    subsets = assign_by_share(labels, units, sizes)
    assert subsets.keys() == set(range(len(labels)))
    assert all(len({subsets[index] for index in unit}) == 1 for unit in units)
    largest = max(map(len, units))
    found = sizes_of(labels, subsets)
    if is_pure(labels, units):
        if has_three_units_of_each(labels, units):
            assert all(min(each.values()) >= 1 for each in found.values())
        for label, each in found.items():
            assert all(-2 * (largest - 1) <= each[s] - sizes[label][s] <= largest - 1 for s in SUBSETS)
    if largest == 1:
        assert found == sizes
        in_order = [s for each in sizes.values() for s in SUBSETS for _ in range(each[s])]
        assert [subsets[i] for i in range(len(labels))] == in_order


def test_by_share_three_groups_of_copies_go_to_three_subsets():
    groups = [list(range(start, start + 5)) for start in (0, 5, 10)]
    subsets = assign_by_share(["a"] * 15, groups, {"a": {"train": 11, "validation": 2, "test": 2}})
    assert [subsets[group[0]] for group in groups] == list(SUBSETS)


def test_by_share_the_largest_come_first_and_single_pictures_fill_the_gaps():
    units = [[0], [1], [2], [3], [4], [5, 6, 7, 8, 9]]
    sizes = {"train": 5, "validation": 3, "test": 2}
    assert sizes_of(["a"] * 10, assign_by_share(["a"] * 10, units, {"a": sizes})) == {"a": sizes}


@given(labels_and_units(), st.fixed_dictionaries({subset: st.integers(1, 8) for subset in SUBSETS}))
def test_up_to_counts_no_unit_is_in_two_subsets_and_no_count_is_exceeded(pictures, counts):
    labels, units = pictures
    subsets = assign_up_to(labels, units, dict.fromkeys(labels, counts))
    assert all(len({subsets[index] for index in unit if index in subsets}) <= 1 for unit in units)
    found = sizes_of(labels, subsets)
    assert all(each[s] <= counts[s] for each in found.values() for s in SUBSETS)
    if is_pure(labels, units) and has_three_units_of_each(labels, units):
        assert all(min(each.values()) >= 1 for each in found.values())
    if max(map(len, units)) == 1 and all(labels.count(label) >= sum(counts.values()) for label in labels):
        assert found == dict.fromkeys(labels, counts)


def test_up_to_counts_the_largest_units_are_not_preferred():
    """Three units suffice, and they are the first three, though a larger one follows."""
    units = [[0, 1], [2], [3, 4, 5], [6, 7, 8, 9]]
    subsets = assign_up_to(["a"] * 10, units, {"a": {"train": 3, "validation": 2, "test": 1}})
    assert subsets == {3: "train", 4: "train", 5: "train", 0: "validation", 1: "validation", 2: "test"}


def test_up_to_counts_a_unit_that_is_too_large_is_used_in_part():
    units = [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9]]
    subsets = assign_up_to(["a"] * 10, units, {"a": {"train": 3, "validation": 2, "test": 1}})
    assert subsets == {0: "train", 1: "train", 2: "train", 5: "validation", 6: "validation", 8: "test"}
