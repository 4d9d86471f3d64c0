"""What split says at its end: few lines, each fact once, and nothing vanishes without a word."""

from dataclasses import replace

import pytest

from smallvision.data.layouts.rows import Grouping, Reading, Row
from smallvision.data.pictures.manifest import SUBSETS, Entry, Rejection, Unlabelled
from smallvision.data.splitting.report import report
from tests.data.pictures.helpers import make_manifest
from tests.data.splitting.helpers import SHARES, split_of

MANIFEST = "data/pictures/manifest.json"


def entries(counts):
    """So many pictures of each class and subset, named `cat/test/0.jpg`."""
    return [
        Entry(subset, label, f"{n}.jpg", f"{label}/{subset}/{n}.jpg", "", "JPEG")
        for label, sizes in counts.items()
        for subset, size in zip(SUBSETS, sizes, strict=True)
        for n in range(size)
    ]


@pytest.fixture
def say(capsys, tmp_path, monkeypatch):
    """Report on a manifest with some fields replaced, and return the lines without the name of the stage."""
    monkeypatch.chdir(tmp_path)

    def call(counts, rows=None, books=False, grouping=None, wanted=SHARES, notes=(), doubted=None, **fields):
        manifest = replace(make_manifest(list(counts), entries(counts)), **fields)
        rows = rows or [Row(each.source, each.label) for each in manifest.pictures]
        rows += [Row(each.source, None) for each in [*manifest.rejected, *manifest.unlabelled]]
        path = tmp_path / MANIFEST
        reading = Reading("folders", books, rows, notes, grouping, doubted or {})
        report(manifest, reading, split_of(**wanted), path.relative_to(tmp_path))
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 10
        assert all(line.startswith("split: ") and len(line) <= 130 for line in lines)
        return [line.removeprefix("split: ") for line in lines]

    return call


CATS = {"cat": (7, 2, 1), "dog": (7, 2, 1)}


def test_a_split_without_surprises_takes_two_lines(say):
    assert say(CATS) == ["drawn: cat, dog: 14 train, 4 validation, 2 test", "labels from folders"]


def test_classes_of_other_sizes_and_many_classes_are_summed_up(say):
    assert say({"cat": (7, 2, 1), "dog": (3, 1, 1)})[1] == "train/validation/test: cat 7/2/1, dog 3/1/1"
    many = say({f"class {n}": (n + 1, 1, 1) for n in range(120)})
    assert many[0].startswith("drawn: 120 classes: ")
    assert many[1] == "train/validation/test: class 0 1/1/1 to class 119 120/1/1"


@pytest.mark.parametrize(
    ("given", "subsets", "line"),
    [
        ([], [None], None),
        ([], ["train", None], "validation and test were taken from the training pictures"),
        (["test"], ["train", "test"], "test comes with the pictures; validation was taken from the training pictures"),
        (["validation", "test"], list(SUBSETS), "validation and test come with the pictures"),
    ],
)
def test_subsets_that_come_and_those_that_were_made_are_told(say, given, subsets, line):
    rows = [Row(each.source, each.label, subset) for each in entries(CATS) for subset in subsets]
    assert say(CATS, rows, given=given)[2:] == ([line] if line else [])
    assert say(CATS, rows, given=[], books=True)[2:] == []


def test_unlabelled_pictures_are_counted_with_an_example_and_their_place(say):
    loose = [Unlabelled(f"{n}.jpg", f"test/{n}.jpg", "", "JPEG") for n in range(20)]
    told = "20 unlabelled pictures, such as test/0.jpg, kept in data/pictures/unlabelled"
    assert say(CATS, unlabelled=loose)[2:] == [told]
    assert say(CATS, unlabelled=loose[:1])[2].startswith("1 unlabelled picture, such as")


def test_what_takes_no_part_is_counted_by_reason_and_ending(say):
    rejected = [Rejection(f"cat/{n}.{end}", f"damaged: {n}") for n, end in enumerate(["jpg", "png", "JPG"])]
    rejected.append(Rejection("cat/9.gif", "9x70 pixels, a side under 10"))
    copies = [Rejection(f"x/{n}.jpg", f"a copy of a test picture: cat/test/{n}.jpg") for n in range(4)]
    others = [Rejection("notes.txt", "not a picture")]  # fetch has counted these
    rows = [Row(each.source, each.label) for each in entries(CATS)] + [Row(each.source, "cat") for each in copies]
    assert say(CATS, rows, rejected=rejected, left_out=[*copies, *others])[2:] == [
        "left out: 3 damaged (2 jpg, 1 png), 1 a side under 10 (1 gif), 4 copies of test pictures; see " + MANIFEST
    ]


def test_what_the_numbers_leave_over_is_only_counted(say):
    rows = [Row(each.source, each.label) for each in entries(CATS)]
    rows += [Row(f"cat/more/{n}.jpg", "cat") for n in range(30)]
    assert say(CATS, rows)[2:] == ["left out: 30 beyond the numbers of `split`"]


def test_a_count_that_groups_do_not_meet_is_told(say):
    wanted = {"train": 7, "validation": 3, "test": 1, "group": "folder"}
    alone = "0 groups by `split.group`, each in one subset; 20 of 20 labelled pictures in none, each of them alone"
    assert say(CATS, wanted=wanted)[2:] == [
        "groups stay together, so cat has 2 of 3 validation pictures (and 1 more such)",
        alone,
    ]
    assert say(CATS, wanted=wanted | SHARES)[2:] == [alone]


def test_groups_are_counted_and_so_are_pictures_in_none(say):
    rows = [
        Row(each.source, each.label, group="p1" if number < 6 else "p2") for number, each in enumerate(entries(CATS))
    ]
    wanted = SHARES | {"group": "folder"}
    assert say(CATS, rows, wanted=wanted)[2:] == ["2 groups by `split.group`, each in one subset"]
    rows[0] = Row(rows[0].path, rows[0].label)
    told = "2 groups by `split.group`, each in one subset; 1 of 20 labelled pictures in none, each of them alone"
    assert say(CATS, rows, wanted=wanted)[2:] == [told]


def test_duplicates_and_at_most_two_conflicts_are_told(say):
    pairs = [[f"cat/{n}.jpg", f"dog/{n}.jpg"] for n in range(5)]
    assert say(CATS, duplicates=pairs, conflicts=pairs)[2:] == [
        f"5 groups of duplicates, each in one subset; see {MANIFEST}",
        "cat/0.jpg and dog/0.jpg look the same, but their labels differ",
        "cat/1.jpg and dog/1.jpg look the same, but their labels differ; and 3 more",
    ]


@pytest.mark.parametrize(
    ("key", "written"), [("folder", "folder"), ("^(.+)_", "'^(.+)_'"), ("it's (x)", "'it''s (x)'")]
)
def test_siblings_of_test_pictures_in_train_are_told_with_the_key(say, key, written):
    groups = {"cat/test/0.jpg": "a", "cat/train/3.jpg": "a", "dog/test/0.jpg": "b", "dog/validation/0.jpg": "b"}
    told = f"1 of 2 test pictures seem to have siblings in train; `split.group: {written}` keeps them together"
    assert say(CATS, grouping=Grouping(key, groups))[2:] == [told]
    assert say(CATS, grouping=Grouping(key, groups), wanted=SHARES | {"group": "folder"})[2:] != [told]
    del groups["cat/test/0.jpg"]
    assert say(CATS, grouping=Grouping(key, groups))[2:] == []


def test_notes_about_a_class_are_settled_once_it_is_left_out(say):
    rows = [Row(each.source, each.label) for each in entries(CATS)] + [Row("new/1.jpg", "new")]
    told = ["new: a class by its folder", "dog: a class, too", "new: some other note"]
    left_out = [Rejection("new/1.jpg", "not in `classes`")]
    assert say(CATS, rows, notes=told, doubted={told[0]: "new", told[1]: "dog"}, left_out=left_out)[2:] == [
        f"left out: 1 not in `classes`; see {MANIFEST}",
        *told[1:],
    ]


def test_ten_lines_at_most(say):
    pairs = [[f"cat/{n}.jpg", f"dog/{n}.jpg"] for n in range(5)]
    lines = say(CATS, duplicates=pairs, conflicts=pairs, notes=[f"note {n}" for n in range(9)])
    assert lines[3:9] == [f"note {n}" for n in range(6)]
    assert lines[9:] == [f"and 5 more lines; see {MANIFEST}, and `smallvision look`"]


def test_names_cannot_disturb_the_terminal(say):
    bad = [Unlabelled("x.jpg", "\x1b[31m\n.jpg", "", "JPEG")]
    assert say(CATS, unlabelled=bad)[2].startswith("1 unlabelled picture, such as \\x1b[31m\\n.jpg, kept")
