"""Given subsets are kept, missing ones are made, and neither a group nor copies of a picture are in two subsets."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.layouts.rows import Row
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.splitting.assigning import assign
from tests.data.splitting.helpers import SHARES, make_goods, split_of


def make_rows(counts, group=None):
    """Rows of a class and a subset, so many of each as `counts` says."""
    return [
        Row(f"{label}/{subset}/{n}.jpg", label, subset, group)
        for (label, subset), count in counts.items()
        for n in range(count)
    ]


def assign_rows(rows, given_subsets, copies=(), **wanted):
    rows = sorted(rows, key=lambda row: row.label)
    assignment = assign(make_goods(rows), copies, given_subsets, split_of(**wanted))
    return (
        {rows[index].path: subset for index, subset in assignment.subsets.items()},
        {rows[index].path: reason for index, reason in assignment.taken_out.items()},
    )


@st.composite
def sources(draw):
    """Pictures of two or three classes, some with a given subset or a group, and which of them are copies."""
    subsets = draw(st.sampled_from([[None], ["train", "test"], [None, "validation"], [None, *SUBSETS]]))
    groups = draw(st.sampled_from([[None], ["p", "q", "r", "s", "t", None], [None, *map(str, range(12))]]))
    row = st.tuples(st.sampled_from("abc"), st.sampled_from(subsets), st.sampled_from(groups))
    rows = sorted(draw(st.lists(row, min_size=6, max_size=40)), key=lambda row: row[0])
    copy_of = draw(st.lists(st.integers(0, 3 * len(rows)), min_size=len(rows), max_size=len(rows)))
    alike = [[i for i, each in enumerate(copy_of) if each == wanted] for wanted in dict.fromkeys(copy_of)]
    return [Row(f"{n}.jpg", *row) for n, row in enumerate(rows)], [group for group in alike if len(group) > 1]


def assign_all(source, sizes):
    """Return the assignment, the given subsets, and which pictures belong together; None if no split is possible."""
    rows, copies = source
    came = [s for s in ("validation", "test") if any(row.subset == s for row in rows)]
    groups = [[i for i, row in enumerate(rows) if row.group == g] for g in {row.group for row in rows} - {None}]
    # `choose_pictures` refuses fewer, and chooses exactly as many as counts say if there are no groups.
    assume(came or min(Counter(row.label for row in rows).values()) >= 3)
    assume(came or groups or sizes == SHARES)
    try:
        assignment = assign(make_goods(rows), copies, came, split_of(**sizes, group="folder" if groups else None))
    except InputError as error:
        assert any(
            words in str(error) for words in ("in one subset, which leaves none", "comes with", "too few pictures")
        )
        return None
    return assignment, came, [*copies, *groups]


SIZES = st.sampled_from([SHARES, {"train": 3, "validation": 1, "test": 2}])


@given(sources(), SIZES)
def test_nothing_that_belongs_together_is_in_two_subsets_and_each_has_every_class(source, sizes):
    if found := assign_all(source, sizes):
        subsets, (_, _, together) = found[0].subsets, found
        assert all(len({subsets[i] for i in each if i in subsets}) <= 1 for each in together)
        assert {(source[0][i].label, subset) for i, subset in subsets.items()} == {
            (row.label, subset) for row in source[0] for subset in SUBSETS
        }


@given(sources(), SIZES)
def test_given_subsets_keep_all_pictures_but_those_taken_out_and_get_no_others(source, sizes):
    if not (found := assign_all(source, sizes)):
        return
    (assignment, came, together), rows = found, source[0]
    subsets, taken_out = assignment.subsets, assignment.taken_out
    assert subsets.keys().isdisjoint(taken_out)
    assert not came or subsets.keys() | taken_out == set(range(len(rows)))
    for index, row in enumerate(rows):
        if row.subset == "test":
            assert subsets[index] == "test"
        elif index in subsets and "test" in came:
            assert subsets[index] != "test"
        if index in subsets and "validation" in came:
            assert (subsets[index] == "validation") == (row.subset == "validation")
    for index in taken_out:
        assert any(index in each and len(each) > 1 for each in together), "it belongs to no other"


@pytest.mark.parametrize(("sizes", "expected"), [(SHARES, 3), ({"train": 9, "validation": 2, "test": 9}, 2)])
def test_a_missing_subset_is_made_of_the_training_pictures(sizes, expected):
    """Counts and shares apply to it alone: train keeps the rest, whatever `split` says."""
    counts = {("cat", "train"): 20, ("cat", "test"): 5, ("dog", "train"): 12, ("dog", None): 8, ("dog", "test"): 1}
    subsets, taken_out = assign_rows(make_rows(counts), ["test"], **sizes)
    found = Counter((path.split("/")[0], subset) for path, subset in subsets.items())
    assert found == {
        ("cat", "train"): 20 - expected,
        ("cat", "validation"): expected,
        ("cat", "test"): 5,
        ("dog", "train"): 20 - expected,
        ("dog", "validation"): expected,
        ("dog", "test"): 1,
    }
    assert {path for path, subset in subsets.items() if subset == "test"} == {
        path for path in subsets if "/test/" in path
    }
    assert taken_out == {}


def test_what_belongs_to_a_test_picture_is_taken_out_of_the_others():
    rows = [
        *make_rows({(label, subset): 4 for label in ("cat", "dog") for subset in SUBSETS}),
        Row("cat/same.jpg", "cat", "train"),
        Row("cat/sibling.jpg", "cat", "train", "p"),
        Row("dog/same.jpg", "dog", "validation"),
        Row("dog/test.jpg", "dog", "test", "p"),
        Row("dog/valid.jpg", "dog", "validation", "q"),
        Row("dog/train.jpg", "dog", "train", "q"),
    ]
    rows.sort(key=lambda row: row.label)
    at = {row.path: index for index, row in enumerate(rows)}
    copies = [[at["cat/test/0.jpg"], at["cat/same.jpg"], at["dog/same.jpg"]]]
    subsets, taken_out = assign_rows(rows, ["validation", "test"], copies, group="folder")
    assert taken_out == {
        "cat/same.jpg": "a copy of a test picture: cat/test/0.jpg",
        "cat/sibling.jpg": "in the group of a test picture: dog/test.jpg",
        "dog/same.jpg": "a copy of a test picture: cat/test/0.jpg",
        "dog/train.jpg": "in the group of a validation picture: dog/valid.jpg",
    }
    assert subsets["dog/valid.jpg"] == "validation"
    assert len(subsets) + len(taken_out) == len(rows)


@pytest.mark.parametrize("sizes", [SHARES, {"train": 3, "validation": 1, "test": 1}])
def test_groups_stay_together_and_copies_join_them(sizes):
    rows = [Row(f"{label}/{g}/{n}.jpg", label, None, f"{g}") for label in "ab" for g in range(6) for n in range(3)]
    copies = [[0, 17]]  # of groups 0 and 5
    subsets, _ = assign_rows(rows, [], copies, group="folder", **sizes)
    homes = {group: {subset for path, subset in subsets.items() if path.split("/")[1] == group} for group in "012345"}
    assert all(len(each) <= 1 for each in homes.values())
    assert len(homes["0"] | homes["5"]) == 1
    if sizes == SHARES:
        assert len(subsets) == len(rows)
    else:
        assert Counter(subsets.values()) == {subset: 2 * count for subset, count in sizes.items()}


def test_a_class_with_too_few_groups_is_named():
    rows = [
        Row(f"{label}/{n}.jpg", label, None, f"{label}{n % (2 if label == 'b' else 5)}")
        for label in "ab"
        for n in range(20)
    ]
    with pytest.raises(InputError) as caught:
        assign_rows(rows, [], group="^(.)", **SHARES)
    assert str(caught.value) == (
        "b: its 20 pictures are in 2 groups (split.group: ^(.)); a group stays in one subset, which leaves none for "
        "test; add pictures of other groups, or set `split.group: null`"
    )


def test_a_class_of_copies_is_named():
    rows = make_rows({("a", None): 9, ("b", None): 4})
    with pytest.raises(InputError) as caught:
        assign_rows(rows, [], [[9, 10, 11, 12]], **SHARES)
    assert str(caught.value) == (
        "b: its 4 pictures are 1 without copies; copies stay in one subset, which leaves none for validation and test; "
        "remove copies, or add pictures"
    )


def test_a_class_that_a_given_subset_lacks_is_named():
    rows = make_rows({("a", "train"): 9, ("b", "train"): 9, ("a", "test"): 3})
    with pytest.raises(
        InputError, match=r"^b: no usable picture for test, which comes with the pictures; add some, leave"
    ):
        assign_rows(rows, ["test"], **SHARES)


def test_a_class_of_copies_of_test_pictures_is_named():
    rows = make_rows({("a", "train"): 9, ("a", "test"): 2, ("b", "train"): 2, ("b", "test"): 2})
    copies = [[11, 13], [12, 14]]
    assert [[rows[i].path for i in pair] for pair in copies] == [
        [f"b/{subset}/{n}.jpg" for subset in ("train", "test")] for n in (0, 1)
    ]
    with pytest.raises(
        InputError, match=r"^b: too few pictures are left for train and validation, 0, after what belongs to test"
    ):
        assign_rows(rows, ["test"], copies, **SHARES)


def test_the_given_order_decides_who_comes_first():
    rows = make_rows({("a", None): 20, ("b", None): 20})
    subsets, _ = assign_rows(rows, [], **SHARES)
    order = [SUBSETS.index(subsets[row.path]) for row in rows if row.label == "a"]
    assert all(first <= second for first, second in pairwise(order))
