"""What is read of folders, and how they are packed: links, circles, dead ends, hidden and odd files."""

import os
import zipfile
from pathlib import Path

import pytest

from smallvision.core.errors import InputError
from smallvision.data.sources import folders
from smallvision.data.sources.files import LeftOut, open_files
from smallvision.data.sources.local import pack_folder
from tests.conftest import jpeg, write_zip


def write_files(folder: Path, *paths: str) -> Path:
    """Write a picture of its own to each of these paths."""
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(jpeg(number))
    return folder


def link(path: Path, target: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def test_a_folder_is_read_as_an_archive_is(tmp_path):
    folder = write_files(tmp_path / "mine", "cat/10.jpg", "cat/2.JPG", "labels.csv", "dog/Thumbs.db")
    with open_files(folder) as files:
        assert files.name == "mine"
        assert files.pictures == ["cat/2.JPG", "cat/10.jpg"]
        assert files.others == ["dog/Thumbs.db", "labels.csv"]
        assert (files.left_out, files.notes) == ([], [])
        assert files.read("cat/10.jpg") == jpeg(0)
        assert files.size("cat/10.jpg") == len(jpeg(0))


def test_hidden_files_and_folders_are_left_out(tmp_path):
    folder = write_files(tmp_path / "mine", "cat/0.jpg", "cat/._0.jpg", ".git/objects/0.jpg")
    (folder / os.fsdecode(b".\xff")).write_bytes(b"")
    with open_files(folder) as files:
        assert files.pictures == ["cat/0.jpg"]
        assert files.left_out == [LeftOut(path, "hidden") for path in (".\\udcff", ".git/", "cat/._0.jpg")]


def test_links_to_files_and_folders_are_followed(tmp_path):
    """The form of case c02: each picture is a link, as in a work space of DVC."""
    write_files(tmp_path / "c01_linked_class", "cat/0.jpg", "cat/1.jpg", "more/2.jpg")
    folder = tmp_path / "c02_linked_files"
    for number in (0, 1):
        link(folder / f"cat/{number}.jpg", f"../../c01_linked_class/cat/{number}.jpg")
    link(folder / "dog", tmp_path / "c01_linked_class/more")
    with open_files(folder) as files:
        assert files.pictures == ["cat/0.jpg", "cat/1.jpg", "dog/2.jpg"]
        assert files.read("cat/1.jpg") == jpeg(1)
        assert files.notes == ["followed links to 2 files and 1 folder"]
        assert files.left_out == []
    pack_folder(folder, tmp_path / "a.zip")
    with open_files(tmp_path / "a.zip") as files:
        assert [files.read(path) for path in files.pictures] == [jpeg(0), jpeg(1), jpeg(2)]


def test_a_folder_may_be_linked_to_twice(tmp_path):
    write_files(tmp_path / "cats", "0.jpg")
    link(tmp_path / "mine/one", tmp_path / "cats")
    link(tmp_path / "mine/two", tmp_path / "cats")
    with open_files(tmp_path / "mine") as files:
        assert files.pictures == ["one/0.jpg", "two/0.jpg"]


def test_circles_and_dead_links_are_left_out(tmp_path):
    folder = write_files(tmp_path / "mine", "cat/0.jpg")
    link(folder / "cat/up", "..")
    link(folder / "cat/self", ".")
    link(folder / "cat/itself.jpg", "itself.jpg")
    link(folder / "cat/1.jpg", "nowhere.jpg")
    link(folder / "cat/2.jpg", "0.jpg/below a file")
    with open_files(folder) as files:
        assert files.pictures == ["cat/0.jpg"]
        circle, dead = "behind a link in a circle", "behind a dead link"
        assert files.left_out == [
            LeftOut("cat/1.jpg", dead),
            LeftOut("cat/2.jpg", dead),
            LeftOut("cat/itself.jpg", circle),
            LeftOut("cat/self/", circle),
            LeftOut("cat/up/", circle),
        ]
        assert files.notes == []


def test_two_folders_that_link_to_each_other_end(tmp_path):
    folder = write_files(tmp_path / "mine", "a/0.jpg", "b/1.jpg")
    link(folder / "a/to b", "../b")
    link(folder / "b/to a", "../a")
    with open_files(folder) as files:
        assert files.pictures == ["a/0.jpg", "a/to b/1.jpg", "b/1.jpg", "b/to a/0.jpg"]
        assert [one.path for one in files.left_out] == ["a/to b/to a/", "b/to a/to b/"]


def test_links_that_multiply_folders_are_stopped(tmp_path, monkeypatch):
    """Each of 30 folders leads to the next one in two ways: 2 to the power of 30 ways in all."""
    monkeypatch.setattr(folders, "MAX_MEMBERS", 1000)
    for number in range(30):
        for side in ("left", "right"):
            link(tmp_path / f"{number}/{side}", tmp_path / f"{number + 1}")
    write_files(tmp_path / "30", "0.jpg")
    with (
        pytest.raises(InputError, match="0 has more than 1000 files; look whether a link leads"),
        open_files(tmp_path / "0"),
    ):
        pass


def test_what_is_neither_file_nor_folder_is_not_opened(tmp_path):
    folder = write_files(tmp_path / "mine", "cat/0.jpg")
    os.mkfifo(folder / "cat/1.jpg")  # whoever opens it waits for ever
    with open_files(folder) as files:
        assert files.pictures == ["cat/0.jpg"]
        assert files.left_out == [LeftOut("cat/1.jpg", "neither file nor folder")]


@pytest.mark.parametrize(
    ("name", "words"),
    [(b"\xff.jpg", "name is not UTF-8; rename it"), (b"a\\b.jpg", "another place on some"), (b"c:x", "another place")],
)
def test_a_name_that_no_archive_can_hold_is_refused(tmp_path, name, words):
    folder = write_files(tmp_path / "mine", "0.jpg")
    (folder / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(InputError, match=words), open_files(folder):
        pass
    with pytest.raises(InputError, match=words):
        pack_folder(folder, tmp_path / "a.zip")


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    folder = write_files(tmp_path / "mine", "cat/0.jpg", "dog/0.jpg")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError), open_files(folder):
        pass


def test_train_zip_in_a_folder_is_read_instead(tmp_path):
    folder = write_files(tmp_path / "mine", "test/0.jpg")
    write_zip(folder / "train.zip", {"train/cat.0.jpg": jpeg(1)})
    with open_files(folder) as files:
        assert (files.name, files.pictures) == ("mine/train.zip", ["train/cat.0.jpg"])
        assert files.left_out == [LeftOut("test/0.jpg", "beside train.zip, which is read instead")]


def test_every_file_is_packed_in_natural_order_and_equal_files_give_equal_bytes(tmp_path):
    names = ["cat/10.jpg", "cat/2.jpg", "labels.csv", ".DS_Store"]
    one, other = write_files(tmp_path / "one", *names), tmp_path / "other"
    for name in reversed(names):
        link(other / name, one / name)
    os.utime(one / "labels.csv", (0, 0))
    assert pack_folder(one, tmp_path / "1.zip").left_out == [LeftOut(".DS_Store", "hidden")]
    pack_folder(other, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "1.zip").namelist() == ["cat/2.jpg", "cat/10.jpg", "labels.csv"]


def test_a_folder_without_files_is_named(tmp_path):
    link(tmp_path / "mine/0.jpg", "nowhere")
    with pytest.raises(InputError, match="mine holds no files"):
        pack_folder(tmp_path / "mine", tmp_path / "a.zip")
