"""The folders are written whole, without leftovers, and with names that every file system takes."""

import pytest

from smallvision.core.errors import InputError
from smallvision.data.sources.files import SourceFiles
from smallvision.data.splitting.tree import file_names
from tests.conftest import jpeg, kaggle_members
from tests.data.splitting.helpers import names, run_split, written


def test_an_archive_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    read, seen = SourceFiles.read, set()

    def changing(files, path):
        data = read(files, path)
        if path in seen:
            return data + b"changed"
        seen.add(path)
        return data

    monkeypatch.setattr(SourceFiles, "read", changing)
    with pytest.raises(InputError, match=r"train/cat.0.jpg was changed while the archive was read"):
        run_split(tmp_path, kaggle_members(8))
    assert written(tmp_path) == []


def test_nothing_is_left_of_a_larger_split(tmp_path):
    run_split(tmp_path, kaggle_members(8))
    run_split(tmp_path, kaggle_members(8), train=1, validation=1, test=1)
    assert len(written(tmp_path)) == 6 + 2  # the manifest, and the text beside the unlabelled pictures
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "pictures"]


def test_names_that_some_systems_confuse_get_numbers():
    assert file_names(["a/0.jpg", "b/1.JPG"]) == ["0.jpg", "1.JPG"]
    assert file_names(["a/0.jpg", "a/0.JPG"]) == ["0__0.jpg", "1__0.JPG"]
    assert file_names(["a/\u00e9.jpg", "b/e\u0301.jpg"]) == ["0__\u00e9.jpg", "1__e\u0301.jpg"]


def test_unlabelled_pictures_are_kept_beside_the_subsets(tmp_path):
    members = kaggle_members(8)
    loose = {f"{folder}/0.jpg": jpeg(seed) for folder, seed in (("test", 70), ("test/more", 71))}
    bad = {f"test/{n}.jpg": b"no picture" for n in range(1, 30)}
    manifest = run_split(tmp_path, members | loose | bad, max_rejected=0)  # bad ones without a label do not count
    assert {each.source: each.path for each in manifest.unlabelled} == {
        "test/0.jpg": "unlabelled/0__0.jpg",
        "test/more/0.jpg": "unlabelled/1__0.jpg",
    }
    for each in manifest.unlabelled:
        assert (tmp_path / "pictures" / each.path).read_bytes() == loose[each.source]
    assert {each.source for each in manifest.rejected} == bad.keys()
    run_split(tmp_path, members)
    assert [path.name for path in (tmp_path / "pictures/unlabelled").iterdir()] == ["README.txt"]  # DVC warns if empty


def test_names_that_repeat_or_are_too_long_get_numbers(tmp_path):
    members = {f"a/{year}/{n}.jpg": jpeg(10 * year + n) for year in (1, 2) for n in range(4)}
    members |= {f"b/3/{n}{'ä' * 120}.jpg": jpeg(50 + n) for n in range(8)}
    manifest = run_split(tmp_path, members, order="name")
    assert names(manifest, "train", "a") == [f"{n}__{n}.jpg" for n in range(4)]
    assert names(manifest, "validation", "a") == ["4__0.jpg", "5__1.jpg"]
    assert [name[:4] for name in names(manifest, "train", "b")] == [f"{n}__{n}" for n in range(4)]
    assert {entry.path for entry in manifest.pictures} < set(written(tmp_path))
