"""Which picture goes to which subset, by count and by share."""

from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.splitting.subsets import assign_by_count, assign_by_share, sizes_by_share

shares = st.tuples(*[st.floats(0.01, 0.98)] * 3).map(lambda t: dict(zip(SUBSETS, (x / sum(t) for x in t), strict=True)))


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
    for group in groups:
        assert len({subsets[index] for index in group}) == 1
    for label in set(labels):
        got = [subset for subset, each in zip(subsets, labels, strict=True) if each == label]
        assert {subset: got.count(subset) for subset in SUBSETS} == sizes


@given(st.integers(3, 5000), shares)
def test_shares_are_kept_to_less_than_a_picture_but_never_to_none(count, shares):
    sizes = sizes_by_share(count, shares)
    assert sum(sizes.values()) == count
    assert min(sizes.values()) >= 1
    exact = [shares[subset] * count for subset in SUBSETS]
    if min(exact) >= 1:
        assert all(abs(sizes[subset] - quota) < 1 for subset, quota in zip(SUBSETS, exact, strict=True))


@given(st.data())
def test_by_share_no_group_is_in_two_subsets_and_every_class_is_in_each(data):
    counts = data.draw(st.lists(st.integers(3, 30), min_size=2, max_size=4))
    labels = [label for label, count in zip("abcd", counts, strict=False) for _ in range(count)]
    sizes = {label: sizes_by_share(labels.count(label), data.draw(shares)) for label in dict.fromkeys(labels)}
    most = data.draw(st.sampled_from([2, 4, 10, 60]))
    group_of = data.draw(st.lists(st.integers(0, most), min_size=len(labels), max_size=len(labels)))
    if data.draw(st.booleans()):  # no picture with two labels
        group_of = [f"{label}{group}" for label, group in zip(labels, group_of, strict=True)]
    groups = [[i for i, g in enumerate(group_of) if g == wanted] for wanted in dict.fromkeys(group_of)]
    conflicts = any(len({labels[index] for index in group}) > 1 for group in groups)
    distinct = {label: sum(label in {labels[i] for i in group} for group in groups) for label in sizes}
    groups = [group for group in groups if len(group) > 1]
    try:
        subsets = assign_by_share(labels, groups, sizes)
    except InputError as error:
        assert "copies of a picture stay in one subset, which leaves none of" in str(error)
        assert conflicts or min(distinct.values()) < 3
        return
    for group in groups:
        assert len({subsets[index] for index in group}) == 1
    got = {label: [s for s, each in zip(subsets, labels, strict=True) if each == label] for label in sizes}
    assert all(set(found) == set(SUBSETS) for found in got.values())
    if not groups:
        assert {label: {s: found.count(s) for s in SUBSETS} for label, found in got.items()} == sizes
        assert all(found == sorted(found, key=SUBSETS.index) for found in got.values())  # in order
    if not conflicts:
        beyond = max((len(group) for group in groups), default=1) - 1
        for label, found in got.items():
            assert all(-2 * beyond <= found.count(s) - sizes[label][s] <= beyond for s in SUBSETS)


def test_by_share_three_groups_of_copies_go_to_three_subsets():
    groups = [list(range(start, start + 5)) for start in (0, 5, 10)]
    subsets = assign_by_share(["a"] * 15, groups, {"a": {"train": 11, "validation": 2, "test": 2}})
    assert [subsets[group[0]] for group in groups] == list(SUBSETS)
