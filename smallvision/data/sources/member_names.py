"""The names of the members of a zip archive, in whatever encoding the archive has them."""

import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from smallvision.core.errors import counted

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075  # the number of the extra field in which some programs repeat a name as UTF-8


def decode_names(infos: Sequence[zipfile.ZipInfo]) -> tuple[list[str], list[str]]:
    """Return the path of each member, and lines that the owner of the archive should read.

    By the standard, a name that is neither ASCII nor declared to be UTF-8 is in the encoding of the first PCs, code
    page 437, as Python reads it. In truth it is in that of the machine that packed it, which the archive does not tell.
    But if all these names are valid UTF-8, they are read as that: macOS and Info-ZIP's `zip` write it without declaring
    it, and names in another encoding are hardly ever valid UTF-8.

    Source: APPNOTE.TXT of PKWARE, 4.4.4, 4.6.9 and appendix D.
    """
    names = [_declared_name(info) for info in infos]
    undeclared = [info.orig_filename for info, name in zip(infos, names, strict=True) if name is None]
    notes = []
    try:
        guessed = {name: name.encode("cp437").decode() for name in undeclared}
    except UnicodeDecodeError:
        guessed = {}
        verb = "is" if len(undeclared) == 1 else "are"
        notes = [
            f"{counted(len(undeclared), 'name')} {verb} in an encoding that the archive does not declare; if classes "
            "look wrong, unpack it with a program that knows the encoding, such as unzip -O cp1252, and set source to "
            "the folder"
        ]
    paths = [
        guessed.get(info.orig_filename, info.filename) if name is None else name
        for info, name in zip(infos, names, strict=True)
    ]
    # This takes away what says nothing, as in `./cat/1.jpg` and `cat//1.jpg`.
    return [str(PurePosixPath(path)) for path in paths], notes


def _declared_name(info: zipfile.ZipInfo) -> str | None:
    """Return the name of a member, or None if the archive does not say in which encoding it is."""
    if info.flag_bits & _UTF8_FLAG or info.orig_filename.isascii():
        return info.filename
    # The field begins with its version and with the checksum of the name that it stands for.
    start = struct.pack("<BL", 1, zlib.crc32(info.orig_filename.encode("cp437")))
    extra = info.extra
    while len(extra) >= 4:
        number, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if number == _UNICODE_PATH and field.startswith(start):
            try:
                return field[len(start) :].decode()
            except UnicodeDecodeError:
                return None
    return None
