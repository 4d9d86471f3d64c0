"""What is read of archives; `test_unsafe_archives.py` has those that must be refused."""

import errno
import stat
import tempfile
import zipfile
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources.archives import natural_key
from smallvision.data.sources.files import LeftOut, open_files
from tests.conftest import jpeg, kaggle_members, write_zip

PICTURE = jpeg(1)
KAGGLE = [f"train/{label}.{number}.jpg" for label in ("cat", "dog") for number in range(3)]


def write_members(path, members):
    """Write an archive in which names may stand twice; a name that ends in `/` is a folder."""
    twice = len(dict(members)) < len(members)
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(match="Duplicate name") if twice else nullcontext():
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def test_pictures_come_in_natural_order_and_other_files_beside_them(tmp_path):
    members = ["x/hen/10.JPG", "x/hen/2.jpg", "labels.csv", "x/emu/b c.jpeg", "x/Thumbs.db", "x/owl/a.heic"]
    with open_files(write_zip(tmp_path / "a.zip", dict.fromkeys(members, PICTURE))) as files:
        assert files.name == "a.zip"
        assert files.pictures == ["x/emu/b c.jpeg", "x/hen/2.jpg", "x/hen/10.JPG", "x/owl/a.heic"]
        assert files.others == ["labels.csv", "x/Thumbs.db"]
        assert (files.left_out, files.notes) == ([], [])
        assert files.read("labels.csv") == PICTURE
        assert files.size("x/hen/2.jpg") == len(PICTURE)


def test_train_zip_inside_is_read_and_what_lies_beside_it_is_left_out(tmp_path):
    inner = write_zip(tmp_path / "train.zip", kaggle_members(3)).read_bytes()
    outer = {"test1.zip": b"not looked at", "train.zip": inner, "sampleSubmission.csv": b"id,label"}
    with open_files(write_zip(tmp_path / "a.zip", outer), "kaggle") as files:
        assert files.name == "kaggle/train.zip"
        assert files.pictures == KAGGLE
        reason = "beside train.zip, which is read instead"
        assert files.left_out == [LeftOut("sampleSubmission.csv", reason), LeftOut("test1.zip", reason)]


def test_train_zip_inside_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    make = tempfile.TemporaryFile

    def refuse(dir):  # noqa: A002 (its name in `tempfile`)
        if dir == tmp_path:
            raise OSError(errno.EROFS, "Read-only file system")
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    inner = write_zip(tmp_path / "train.zip", kaggle_members(3)).read_bytes()
    with open_files(write_zip(tmp_path / "a.zip", {"train.zip": inner})) as files:
        assert files.pictures == KAGGLE


def test_hidden_files_are_left_out(tmp_path):
    hidden = ["__MACOSX/cat/._0.jpg", "cat/.DS_Store", "cat/.thumbs/0.jpg"]
    with open_files(write_zip(tmp_path / "a.zip", dict.fromkeys(["cat/0.jpg", *hidden], PICTURE))) as files:
        assert files.pictures == ["cat/0.jpg"]
        assert files.left_out == [LeftOut(path, "hidden") for path in hidden]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (stat.S_IFLNK, "a link, which an archive cannot follow"),
        (stat.S_IFIFO, "neither file nor folder"),
        (stat.S_IFDIR, None),
    ],
)
def test_what_is_no_file_is_not_read(tmp_path, kind, reason):
    path = write_zip(tmp_path / "a.zip", kaggle_members(3))
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("train/cat.9.jpg")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with open_files(path) as files:
        assert files.pictures == KAGGLE
        assert files.left_out == ([LeftOut("train/cat.9.jpg", reason)] if reason else [])


def test_names_that_differ_by_case_are_two_files(tmp_path):
    members = ["README.txt", "Readme.txt", "cat/0.JPG", "cat/0.jpg"]
    with open_files(write_zip(tmp_path / "a.zip", dict.fromkeys(members, PICTURE))) as files:
        assert files.pictures == ["cat/0.JPG", "cat/0.jpg"]
        assert files.others == ["README.txt", "Readme.txt"]


def test_a_folder_listed_twice_is_no_file(tmp_path):
    members = [("cat/", b""), ("cat/0.jpg", PICTURE), ("cat/", b"")]
    with open_files(write_members(tmp_path / "a.zip", members)) as files:
        assert (files.pictures, files.left_out) == (["cat/0.jpg"], [])


def test_a_picture_listed_twice_with_the_same_bytes_counts_once(tmp_path):
    members = [("cat/0.jpg", PICTURE), ("cat/1.jpg", PICTURE), ("./cat//0.jpg", PICTURE), ("cat/0.jpg", PICTURE)]
    with open_files(write_members(tmp_path / "a.zip", members)) as files:
        assert files.pictures == ["cat/0.jpg", "cat/1.jpg"]
        assert files.left_out == [LeftOut("cat/0.jpg", "listed a second time")] * 2


@pytest.mark.parametrize("name", ["cat/0.jpg", "cat/without ending"])
def test_pictures_of_one_name_with_other_bytes_are_refused(tmp_path, name):
    path = write_members(tmp_path / "a.zip", [(name, PICTURE), (name, jpeg(2))])
    with pytest.raises(InputError, match=f"a.zip has 2 members named '{name}'; rename one"), open_files(path):
        pass


def test_of_other_files_of_one_name_the_last_is_read(tmp_path):
    members = [("cat/0.jpg", PICTURE), ("labels.csv", b"old"), ("labels.csv", b"new")]
    with open_files(write_members(tmp_path / "a.zip", members)) as files:
        assert files.read("labels.csv") == b"new"
        assert files.left_out == [LeftOut("labels.csv", "listed again with other bytes, which are read instead")]


def test_a_file_that_is_damaged_where_its_kind_is_looked_at_is_left_out(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/0.jpg": PICTURE, "cat/bare": PICTURE})
    data = bytearray(path.read_bytes())
    data[data.index(b"cat/bare") - 30] ^= 0xFF  # its local header
    path.write_bytes(data)
    with open_files(path) as files:
        assert (files.pictures, files.others) == (["cat/0.jpg"], [])
        assert files.left_out == [LeftOut("cat/bare", "damaged")]


@given(st.lists(st.text(alphabet="ab01.²", max_size=6)))
def test_natural_order_does_not_depend_on_the_order_before(names):
    assert sorted(sorted(names, reverse=True), key=natural_key) == sorted(names, key=natural_key)


def test_natural_order_counts():
    names = ["cat.10", "cat.9", "cat.01", "cat.1", "Cat.2", "cat." + 5000 * "9"]
    assert sorted(names, key=natural_key) == ["Cat.2", "cat.01", "cat.1", "cat.9", "cat.10", "cat." + 5000 * "9"]
