"""Names of members that are not ASCII."""

import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources.files import open_files
from tests.conftest import jpeg

NOTE = "an encoding that the archive does not declare; if classes look wrong, unpack it"


def write_raw(path, members):
    """Write members whose names are these bytes, with no word of their encoding, and their extra fields."""
    stand_ins = {f"{number}".rjust(len(raw), "~"): raw for number, raw in enumerate(members)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in stand_ins.items():
            info = zipfile.ZipInfo(name)
            info.extra = members[raw]
            archive.writestr(info, jpeg(1))
    data = path.read_bytes()
    for name, raw in stand_ins.items():
        data = data.replace(name.encode(), raw)
    path.write_bytes(data)
    return path


def unicode_path(raw: bytes, name: bytes) -> bytes:
    """The extra field in which Info-ZIP and WinRAR repeat a name as UTF-8."""
    return struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(raw)) + name


def test_utf8_without_its_flag_is_read(tmp_path):
    names = ["Äpfel/0.jpg", "plain/0.jpg", "猫/0.jpg"]
    with open_files(write_raw(tmp_path / "a.zip", {name.encode(): b"" for name in names})) as files:
        assert sorted(files.pictures) == sorted(names)
        assert files.notes == []


@pytest.mark.parametrize(
    ("raws", "count"),
    [
        ([b"\xc4pfel/0.jpg", b"Birne/0.jpg"], "1 name is"),  # code page 1252
        ([b"\xe2l\xe2R/0.jpg", b"\xee\xf3/0.jpg"], "2 names are"),  # Shift JIS
        (["Äpfel/0.jpg".encode(), b"\xc4pfel/1.jpg"], "2 names are"),  # some are not valid UTF-8, so none is read so
    ],
)
def test_another_encoding_is_named_once(tmp_path, raws, count):
    with open_files(write_raw(tmp_path / "a.zip", dict.fromkeys(raws, b""))) as files:
        assert sorted(files.pictures) == sorted(raw.decode("cp437") for raw in raws)
        (note,) = files.notes
        assert note.startswith(f"{count} in {NOTE}")
        assert "unzip -O cp1252" in note
        assert all(files.read(path) == jpeg(1) for path in files.pictures)


def test_a_name_repeated_as_utf8_is_read(tmp_path):
    raw, name = b"\xc4pfel/0.jpg", "Äpfel/0.jpg"
    other = unicode_path(b"another name", "ä/1.jpg".encode())
    path = write_raw(tmp_path / "a.zip", {raw: unicode_path(raw, name.encode()), b"\xe4/1.jpg": other})
    with open_files(path) as files:
        assert sorted(files.pictures) == sorted([name, b"\xe4/1.jpg".decode("cp437")])
        assert files.notes[0].startswith("1 name is")
        assert files.read(name) == jpeg(1)


@pytest.mark.parametrize("hostile", ["../x.jpg", "/x.jpg", "a\\x.jpg", "c:/x.jpg", "a/\0.jpg"])
def test_the_repeated_name_is_as_safe_as_the_first(tmp_path, hostile):
    raw = b"\xc4pfel/0.jpg"
    path = write_raw(tmp_path / "a.zip", {raw: unicode_path(raw, hostile.encode())})
    with pytest.raises(InputError, match="unsafe member name"), open_files(path):
        pass


@given(
    st.lists(st.text(st.characters(exclude_characters="/\\\0:.", codec="utf-8"), min_size=1), min_size=1, unique=True)
)
def test_names_that_python_writes_are_read_back(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "names.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}/0.jpg", b"")
    with open_files(path) as files:
        assert sorted(files.pictures) == sorted(f"{name}/0.jpg" for name in names)
        assert files.notes == []
