"""What cases alone do not show: tables beside labels that stand elsewhere, and names that cannot be folders."""

import pytest

from smallvision.core.errors import InputError, ParameterError
from smallvision.data.layouts import groups
from smallvision.data.layouts.reading import read_layout
from tests.data.layouts.helpers import FakeFiles, lines

PICTURES = dict.fromkeys([f"{label}/{number}.jpg" for label in ("cat", "dog") for number in range(6)], b"")


@pytest.mark.parametrize("labels", ["auto", "top", "parent"])
def test_a_table_gives_subsets_and_groups_to_pictures_whose_labels_are_folders(labels):
    rows = [f"{path},{'test' if '/5' in path else 'train'},p{path[4:5]}" for path in PICTURES]
    files = FakeFiles(PICTURES | {"patients.csv": "\n".join(["file,split,patient_id", *rows]).encode()})
    reading = read_layout(files, labels, "patient_id")
    assert reading.reader == "folders"
    assert {row.path: (row.label, row.subset, row.group) for row in reading.rows} == {
        path: (path[:3], "test" if "/5" in path else "train", f"p{path[4]}") for path in PICTURES
    }


def test_a_picture_with_several_labels_is_left_out():
    rows = lines("file,label", "{0..9}.jpg,cat", "{10..19}.jpg,dog", "3.jpg,{dog,bird}")
    reading = read_layout(FakeFiles({f"{n}.jpg": b"" for n in range(20)} | {"labels.csv": rows}))
    left_out = [(row.path, row.label, row.left_out) for row in reading.rows if row.left_out]
    assert left_out == [("3.jpg", None, "different labels in labels.csv")]
    assert sum(row.label is not None for row in reading.rows) == 19


@pytest.mark.parametrize("label", ["a/b", "..", ".", "x\0y", "c" * 201])
def test_a_label_that_cannot_be_the_name_of_a_folder_is_refused(label):
    rows = "file,label\n" + "".join(f"{n}.jpg,{'dog' if n % 2 else label}\n" for n in range(6))
    files = FakeFiles({f"{n}.jpg": b"" for n in range(6)} | {"labels.csv": rows.encode()})
    with pytest.raises(InputError, match=r"cannot be the name of a folder \(.*\); rename it") as caught:
        read_layout(files)
    assert str(caught.value).isprintable()


def test_what_takes_no_part_in_folders_is_said_by_its_path():
    masks = {f"cat/{number}_mask.png": b"" for number in range(6)}
    reading = read_layout(FakeFiles(PICTURES | masks))
    assert {row.path for row in reading.rows if row.left_out} == set(masks)
    assert reading.classes == ["cat", "dog"]


def test_a_pattern_that_would_never_end_is_refused(monkeypatch):
    monkeypatch.setattr(groups, "MAX_SECONDS", 0.2)
    files = FakeFiles([*PICTURES, "cat/" + "a" * 60 + "!.jpg"])
    with pytest.raises(ParameterError, match=r"takes longer than 0\.2 s; expected a simpler pattern"):
        read_layout(files, group="^cat/(a|aa)+$")


@pytest.mark.parametrize("folder", ["cat ", "cat.", "CAT"])
def test_classes_that_are_one_folder_on_windows_are_refused(folder):
    with pytest.raises(InputError, match="rename one"):
        read_layout(FakeFiles([*PICTURES, f"{folder}/1.jpg"]))


def test_of_several_columns_that_look_like_groups_the_first_is_offered():
    header = "file,label,subject,site,scene,patient,case"
    rows = [f"{n}.jpg,{'cat' if n < 6 else 'dog'}" + f",{n // 2}" * 5 for n in range(12)]
    files = {f"{n}.jpg": b"" for n in range(12)} | {"labels.csv": lines(header, *rows)}
    assert read_layout(FakeFiles(files)).grouping.key == "subject"
