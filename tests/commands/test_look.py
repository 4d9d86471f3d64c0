"""`smallvision look` says what the readers understand, and draws a sheet of each class."""

import io
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from smallvision.commands.contact_sheets import GAP, HEADING, SIDE, choose_pictures
from tests.commands.test_use import pictures, place
from tests.conftest import Project, assert_one_line, jpeg, write_zip

LOOK = "smallvision.commands.look"
NOT_NEEDED = {"tensorflow", "keras", "dvc", "scipy", "sklearn", "requests", "matplotlib.figure"}


def text_of(result) -> str:
    """What was printed, without the line breaks."""
    assert (result.returncode, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 79
    return " ".join(result.stdout.split())


def sheets(project: Project, folder="data/look") -> dict[str, np.ndarray]:
    found = sorted((project.folder / folder).glob("*.png"))
    return {path.name: np.asarray(Image.open(path).convert("RGB")) for path in found}


def cell(sheet: np.ndarray, down: int, across: int) -> np.ndarray:
    """A picture on a sheet; its captions are 18 pixels high."""
    top, left = HEADING + down * (SIDE + 18 + GAP), GAP + across * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def test_classes_are_counted_by_subset_and_nothing_is_left_unsaid(project: Project):
    members = pictures("train/cat", "train/dog", count=5) | pictures("test/cat", "test/dog", count=2)
    members |= {"loose.jpg": jpeg(998), "notes.txt": b"x", "train/cat/.thumb.jpg": b"", "READ.me": b"x"}
    write_zip(project.folder / "mine.zip", members)
    result = project.call(LOOK, "mine.zip")
    text = text_of(result)
    assert "look: mine.zip: 14 labelled pictures of 2 classes; labels from folders" in text
    assert [line.split() for line in result.stdout.splitlines()[1:4]] == [
        ["class", "pictures", "train", "test"], ["cat", "7", "5", "2"], ["dog", "7", "5", "2"]
    ]  # fmt: skip
    for words in ("subsets that come with the pictures: train 10, test 4; validation will be taken from the rest",
                  "unlabelled: 1 picture, such as loose.jpg", "left out, hidden: 1 (1 jpg)",
                  "other files: 2 (1 me, 1 txt)", "data/look: a sheet of each class, 14 pictures"):  # fmt: skip
        assert f"look: {words}" in text


def test_groups_are_offered_with_a_value_that_can_be_pasted_or_counted(project: Project):
    place(project.folder / "scans", pictures(*(f"{label}/patient{n}" for label in ("ill", "well") for n in range(3))))
    assert "(groups: 3, the largest patient0 with 6 pictures); `split.group: folder` keeps" in text_of(
        project.call(LOOK, "scans")
    )
    text = text_of(project.call(LOOK, "scans", "--group", r"patient(\d)"))
    assert "look: groups: 3, the largest 0 with 6 pictures; 18 pictures in them" in text
    assert "look grouped" not in text


def test_many_classes_are_ten_rows_however_long_their_names(project: Project):
    names = [f"{chr(97 + index)}{'x' * 90}" for index in range(21)]
    members = {f"{name}/{n}.jpg": jpeg(100 * i + n) for i, name in enumerate(names) for n in range(1 + (i == 20))}
    place(project.folder / "many", members)
    text = text_of(project.call(LOOK, "many"))
    assert "… 11 more classes …" in text
    assert "22 labelled pictures of 21 classes" in text
    assert len(sheets(project)) == 21


def test_sheets_take_the_place_of_earlier_ones_and_of_nothing_else(project: Project):
    place(project.folder / "mine", pictures("a b$", "猫/", count=4))
    place(project.folder / "other", pictures("x", "y"))
    assert project.call(LOOK, "mine", "--sheets", "out").returncode == 0
    first = sheets(project, "out")
    assert list(first) == ["class-1-a_b_.png", "class-2-猫.png"]
    assert project.call(LOOK, "mine", "--sheets", "out").returncode == 0
    assert all((first[name] == again).all() for name, again in sheets(project, "out").items())
    (project.folder / "out/holiday.png").write_bytes(jpeg(1))
    assert project.call(LOOK, "other", "--sheets", "out").returncode == 0
    assert list(sheets(project, "out")) == ["class-1-x.png", "class-2-y.png", "holiday.png"]
    assert not (project.folder / "part-out").exists()


def test_the_choice_is_by_chance_but_always_the_same():
    paths = [f"{n}.jpg" for n in range(100)]
    chosen = choose_pictures({"a": paths, "b": paths[:3]})
    assert chosen == choose_pictures({"a": paths, "b": paths[:3]})
    assert chosen["b"] == paths[:3]
    assert len(set(chosen["a"])) == 24
    assert chosen["a"] != paths[:24]
    assert sorted(chosen["a"], key=paths.index) == chosen["a"]
    assert {len(each) for each in choose_pictures({str(n): paths for n in range(200)}).values()} == {5}
    assert {len(each) for each in choose_pictures({str(n): paths for n in range(3000)}).values()} == {1}


def test_fewer_of_large_pictures_are_shown(project: Project, monkeypatch):
    monkeypatch.setattr("smallvision.commands.contact_sheets.TOTAL_BYTES", 9 * len(jpeg(1)))
    place(project.folder / "mine", pictures("cat", "dog", count=9))
    assert "a sheet of each class, 8 pictures" in text_of(project.call(LOOK, "mine"))


def test_a_sheet_shows_the_pictures_and_grey_for_those_that_cannot_be_read(project: Project):
    data = io.BytesIO()
    Image.new("RGB", (90, 60), (255, 0, 0)).save(data, "PNG")
    members = pictures("dog", count=7) | {"cat/1.png": data.getvalue(), "cat/2.jpg": jpeg(1)[:400], "cat/3.jpg": b""}
    place(project.folder / "mine", members)
    text = text_of(project.call(LOOK, "mine"))
    assert "look: 2 of 10 pictures cannot be read: cat/" in text
    cats, dogs = sheets(project).values()
    assert (cell(cats, 0, 0) == (255, 0, 0)).all()
    assert (cell(cats, 0, 1) == 128).all()
    assert (cell(cats, 0, 2) == 128).all()
    assert cell(dogs, 1, 0).std() > 10
    assert len(dogs) - len(cats) == SIDE + 18 + GAP
    assert (cats[HEADING + SIDE :, :SIDE] < 100).any()  # the caption


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 3, "look: nowhere: no such folder or archive"),
        (["kaggle"], 3, "look: kaggle: no folder or archive here; `dvc repro fetch` gets a source as data/raw/archive"),
        (["notes.zip"], 3, "look: notes.zip"),
        (["mine", "--group", "(("], 2, "look: --group: no valid pattern"),
        (["mine", "--labels", "name"], 3, "look: mine: labels: name: no file is called like"),
        (["mine", "--labels", "none.csv"], 2, "none.csv"),
    ],
)
def test_what_cannot_be_read_is_one_line(project: Project, arguments, code, words):
    place(project.folder / "mine", {f"{label}/x{n}y.jpg": jpeg(n) for label in ("cat", "dog") for n in range(3)})
    (project.folder / "notes.zip").write_bytes(b"no archive")
    assert_one_line(project.call(LOOK, *arguments), code, words)
    assert not (project.folder / "data").exists()


def test_neither_tensorflow_nor_another_slow_package_is_asked_for(project: Project, monkeypatch):
    """That the modules themselves import none when they are loaded is tested in tests/house."""
    place(project.folder / "mine", pictures("cat", "dog"))
    for name in NOT_NEEDED | {name for name in sys.modules if name.partition(".")[0] in NOT_NEEDED}:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert "look: mine: 6 labelled pictures" in text_of(project.call(LOOK, "mine"))


@pytest.mark.slow
def test_neither_tensorflow_nor_scipy_is_imported(project: Project):
    place(project.folder / "mine", pictures("cat", "dog"))
    result = project.run("smallvision", "look", "mine", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "cv2" in imported
    assert not NOT_NEEDED & imported


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_it_takes_seconds_for_25000_files(project: Project, kind):
    data = [jpeg(seed, width=400, height=300) for seed in range(20)]
    with zipfile.ZipFile(project.folder / "big.zip", "w") as archive:
        for index in range(25_000):
            archive.writestr(f"class {chr(97 + index % 20)}/IMG_{index}.jpg", data[index % 20])
    if kind == "folder":
        with zipfile.ZipFile(project.folder / "big.zip") as archive:
            archive.extractall(project.folder / "big")
    start = time.monotonic()
    result = project.run("smallvision", "look", "big.zip" if kind == "zip" else "big")
    assert result.returncode == 0
    assert time.monotonic() - start < 10
