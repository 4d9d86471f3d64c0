"""Archives that must be refused, and archives that are damaged."""

import errno
import struct
import tracemalloc
import zipfile
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources.files import open_files
from smallvision.data.sources.verifying import verify
from tests.conftest import jpeg, kaggle_members, write_zip

PICTURE = jpeg(1)


@pytest.mark.parametrize("name", ["../cat/1.jpg", "/cat/1.jpg", "C:/cat/1.jpg", "cat\\1.jpg", "cat/../../1.jpg"])
def test_unsafe_names_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="unsafe member name"):
        verify(write_zip(tmp_path / "a.zip", kaggle_members(1) | {name: PICTURE}), "a.zip")


def test_a_name_with_nul_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", kaggle_members(1) | {"cat/X.jpg": PICTURE})
    path.write_bytes(path.read_bytes().replace(b"cat/X.jpg", b"cat/\0.jpg"))
    with pytest.raises(InputError, match="unsafe member name"):
        verify(path, "a.zip")


def test_a_password_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", kaggle_members(1))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        struct.pack_into("<H", data, at, 1)
    path.write_bytes(data)
    with pytest.raises(InputError, match="protected by a password"):
        verify(path, "a.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = write_zip(tmp_path / "a.zip", kaggle_members(1) | {"train/cat.1.jpg": PICTURE})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 2**21, 2**30)  # 2 MB unpack to 1 GB, a ratio that deflate can reach
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"would unpack to 1073\d+, which no pictures do"):
        verify(path, "a.zip")


def claim_sizes(path, size):
    """Write into the directory of an archive that every member unpacks to `size`."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", data, at + 24, size)
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)


@pytest.mark.parametrize("members", [kaggle_members(1), {"train.zip": PICTURE, "test1.zip": PICTURE}])
def test_a_bomb_of_many_small_members_is_refused_before_it_is_unpacked(tmp_path, members):
    path = write_zip(tmp_path / "a.zip", members)
    claim_sizes(path, 2**27)
    with pytest.raises(InputError, match="and would unpack to 268435456, which no pictures do"):
        verify(path, "a.zip")


def test_no_more_is_unpacked_than_the_directory_says(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in kaggle_members(1):
            archive.writestr(name, bytes(2**23))
    claim_sizes(path, 1000)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"damaged at train/cat\.0\.jpg: Bad CRC-32"):
            verify(path, "a.zip")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_without_bounds_is_refused(tmp_path, method):
    """Python unpacks all of such a member at once, however large it is."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in kaggle_members(1).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=r"train/cat.0.jpg is packed by an unusual method; pack it again"):
        verify(path, "a.zip")


def test_only_one_archive_in_another_is_opened(tmp_path):
    path = write_zip(tmp_path / "a.zip", kaggle_members(1))
    for name in ("b.zip", "c.zip"):
        path = write_zip(tmp_path / name, {"train.zip": path.read_bytes()})
    with pytest.raises(InputError, match=r"c\.zip/train\.zip: expected pictures, found 1 file \(1 zip\)"):
        verify(path, "c.zip")


def test_permission_says_nothing_of_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError), open_files(tmp_path / "a.zip"):
        pass


def test_a_flipped_byte_is_found_and_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", kaggle_members(2))
    data = bytearray(path.read_bytes())
    data[data.index(b"train/cat.1.jpg") + 100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.zip is damaged at train/cat.1.jpg: Bad CRC-32"):
        verify(path, "a.zip")


@given(st.data())
def test_damaged_archives_are_read_or_refused(tmp_path_factory, data):
    """Cut and changed bytes give files or an InputError, never another exception."""
    path = tmp_path_factory.getbasetemp() / "fuzz.zip"
    members = {name.replace("cat", "cät"): content[:80] for name, content in kaggle_members(2).items()}
    if data.draw(st.booleans()):
        members = {"train.zip": write_zip(path, members).read_bytes()}
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    original = path.read_bytes()
    damaged = bytearray(original[: data.draw(st.integers(0, len(original)))] if data.draw(st.booleans()) else original)
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        verify(path, "a.zip")
        with open_files(path) as files:
            for name in [*files.pictures, *files.others]:
                files.read(name)
    except InputError:
        pass
