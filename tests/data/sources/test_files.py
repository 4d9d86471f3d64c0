"""Files of any source: a folder and an archive of the same files are the same, and nothing vanishes."""

import shutil
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources import files as files_module
from smallvision.data.sources.archives import natural_key
from smallvision.data.sources.files import LeftOut, by_ending, by_reason, open_files
from tests.conftest import jpeg, write_zip

PICTURE = jpeg(1)
CONTENTS = {"picture": PICTURE, "text": b"a,b\n1,2\n", "empty": b""}
NAMES = st.sampled_from([".hidden", "0.jpg", "10.PNG", "2.tif", "README.txt", "a.csv", "bare", "St. Bernard", "x.dat"])
FOLDERS = st.lists(st.sampled_from(["cat", "Cat 2", ".git", "ü"]), max_size=3)
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), FOLDERS, NAMES)


@given(st.dictionaries(PATHS, st.sampled_from(sorted(CONTENTS)), max_size=12))
def test_a_folder_and_an_archive_of_any_files_are_the_same(tmp_path_factory, kinds):
    base = tmp_path_factory.getbasetemp()
    folder, members = base / "same", {path: CONTENTS[kind] for path, kind in kinds.items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in members.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    hidden = {path for path in members if any(part.startswith(".") for part in PurePosixPath(path).parts)}
    for source in (folder, write_zip(base / "same.zip", members)):
        with open_files(source) as files:
            seen = [*files.pictures, *files.others]
            assert set(seen) == set(members) - hidden
            assert len(seen) == len(set(seen))
            assert all(files.read(path) == members[path] for path in seen)
            for paths in (files.pictures, files.others):
                assert list(paths) == sorted(paths, key=natural_key)
            for path in seen:
                by_name = path.lower().endswith((".jpg", ".png", ".tif"))
                by_bytes = kinds[path] == "picture" and not path.endswith((".txt", ".csv"))
                assert (path in files.pictures) == (by_name or by_bytes)
            assert {one.reason for one in files.left_out} <= {"hidden"}
            # A folder names a hidden folder, an archive the files in it.
            assert all(any(path.startswith(one.path) for one in files.left_out) for path in hidden)


def test_pictures_without_an_ending_are_found_by_their_first_bytes(tmp_path):
    """The form of case b05."""
    members = {"cat/0.jpg": PICTURE, "cat/x0": PICTURE, "cat/x1.jpg_orig": PICTURE, "cat/LICENSE": b"JFIF is no start"}
    with open_files(write_zip(tmp_path / "a.zip", members)) as files:
        assert files.pictures == ["cat/0.jpg", "cat/x0", "cat/x1.jpg_orig"]
        assert files.others == ["cat/LICENSE"]


def test_tables_and_texts_are_not_opened_to_see_what_they_are(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"0.jpg": PICTURE, "0.txt": PICTURE, "a.csv": PICTURE, "0.CR2": PICTURE})
    monkeypatch.setattr(files_module.Archive, "_read", None)
    with open_files(path) as files:
        assert files.pictures == ["0.jpg"]
        assert files.others == ["0.CR2", "0.txt", "a.csv"]


@pytest.mark.parametrize("in_folder", [True, False])
def test_what_is_too_large_is_not_read(tmp_path, monkeypatch, in_folder):
    monkeypatch.setattr(files_module, "MAX_PICTURE_BYTES", 1000)
    members = {"cat/0.jpg": bytes(1000), "bare": PICTURE + bytes(1000), "labels.csv": bytes(1001)}
    source = write_zip(tmp_path / "a.zip", members)
    if in_folder:
        source = tmp_path / "a"
        shutil.unpack_archive(tmp_path / "a.zip", source)
    with open_files(source) as files:
        assert (files.pictures, files.others) == (["cat/0.jpg"], ["bare", "labels.csv"])
        with pytest.raises(InputError, match=r"labels\.csv has 1001 bytes, more than the 1000 that are read"):
            files.read("labels.csv")
    monkeypatch.setattr(files_module, "MAX_PICTURE_BYTES", 999)
    with (
        pytest.raises(InputError, match=r"cat/0\.jpg would unpack to 1000 bytes, which no picture needs"),
        open_files(source),
    ):
        pass


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"mine\.zip: not found; check the path"), open_files(tmp_path / "mine.zip"):
        pass


def test_endings_are_counted_the_commonest_first():
    paths = ["a.JPG", "b/c.jpg", "LICENSE", "St. Bernard", "x.tar.gz", ".hidden"]
    assert by_ending(paths) == "3 without ending, 2 jpg, 1 gz"
    assert (
        by_ending([*"abc", *(f"0.{ending}" for ending in "abcdefg")])
        == "3 without ending, 1 a, 1 b, 1 c, 1 d, 3 others"
    )


def test_reasons_are_counted_with_the_first_file():
    left_out = [LeftOut("0.jpg", "behind a dead link"), LeftOut(".a", "hidden"), LeftOut("b/.c", "hidden")]
    assert by_reason(left_out) == "2 hidden (.a, …), 1 behind a dead link (0.jpg)"
    assert len(by_reason([LeftOut("x" * 500 + "\n", "hidden")])) < 60
