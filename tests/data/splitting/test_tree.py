"""The folders are written whole, without leftovers, and with names that every file system takes."""

import pytest

from smallvision.core.errors import InputError
from smallvision.data.sources.archives import PictureArchive
from tests.conftest import jpeg, kaggle_members
from tests.data.splitting.helpers import names, run_split, written


def test_an_archive_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    read, seen = PictureArchive.read, set()

    def changing(archive, member):
        data = read(archive, member)
        if member.path in seen:
            return data + b"changed"
        seen.add(member.path)
        return data

    monkeypatch.setattr(PictureArchive, "read", changing)
    with pytest.raises(InputError, match=r"train/cat.0.jpg was changed while the archive was read"):
        run_split(tmp_path, kaggle_members(8))
    assert written(tmp_path) == []


def test_nothing_is_left_of_a_larger_split(tmp_path):
    run_split(tmp_path, kaggle_members(8))
    run_split(tmp_path, kaggle_members(8), train=1, validation=1, test=1)
    assert len(written(tmp_path)) == 6 + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "pictures"]


def test_names_that_repeat_or_are_too_long_get_numbers(tmp_path):
    members = {f"{year}/a/{n}.jpg": jpeg(10 * year + n) for year in (1, 2) for n in range(4)}
    members |= {f"3/b/{n}{'ä' * 120}.jpg": jpeg(50 + n) for n in range(8)}
    manifest = run_split(tmp_path, members)
    assert names(manifest, "train", "a") == [f"{n}__{n}.jpg" for n in range(4)]
    assert names(manifest, "validation", "a") == ["4__0.jpg", "5__1.jpg"]
    assert [name[:4] for name in names(manifest, "train", "b")] == [f"{n}__{n}" for n in range(4)]
    assert {entry.path for entry in manifest.pictures} < set(written(tmp_path))
