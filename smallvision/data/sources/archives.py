"""Zip archives, read safely: what is in them, without any meaning."""

import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from smallvision.core.errors import InputError
from smallvision.core.files import require_space
from smallvision.data.sources.member_names import decode_names
from smallvision.data.sources.picture_files import FIRST_BYTES, LeftOut, is_hidden, is_picture

MAX_MEMBERS = 2_000_000
MAX_PICTURE_BYTES = 200 * 2**20
# How many times its own size an archive may unpack to, if that is more than one picture's maximum. Pictures hardly
# shrink; the zeros that a zip bomb is made of shrink to a thousandth.
MAX_RATIO = 100
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The errors that `zipfile` and the decompressor raise on damaged bytes.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)
_ENCRYPTED = 0x1


class DamageError(InputError):
    """An archive is damaged at one of its files."""


class Archive:
    """The files of an open archive.

    Attributes:
        name: how messages call the archive.
        sizes: the size in bytes of each file that is not left out, unpacked, by its path.
        left_out: the files that take no part.
        notes: lines that the owner of the archive should read.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        """List the members of `archive`, which `_open_zip` found to be safe.

        Raises:
            InputError: two pictures have the same name.
        """
        self.name = name
        self.left_out: list[LeftOut] = []
        self._archive = archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        infos = [info for info in archive.infolist() if not info.is_dir()]
        paths, self.notes = decode_names(infos)
        for path, info in zip(paths, infos, strict=True):
            if path != info.orig_filename:  # That one was checked before the archive was used.
                _refuse_unsafe_name(path, name)
            self._add(path, info)
        self.sizes = {path: info.file_size for path, info in self._infos.items()}

    def leave_out_beside(self, paths: Iterable[str], nested: str) -> None:
        """Note the files that lie beside this archive, which is the file `nested` of an archive or a folder."""
        reason = f"beside {PurePosixPath(nested).name}, which is read instead"
        self.left_out += [LeftOut(path, reason) for path in paths if path != nested]

    def read(self, path: str, count: int | None = None) -> bytes:
        """Return the first `count` bytes of a file, by default all of them.

        Raises:
            DamageError: the archive is damaged at this file.
        """
        return self._read(self._infos[path], count)

    def _read(self, info: zipfile.ZipInfo, count: int | None) -> bytes:
        try:
            with self._archive.open(info) as source:
                # Without a count, `read` would also unpack what lies beyond the size that was checked.
                return source.read(info.file_size if count is None else count)
        except _DAMAGE as error:
            raise DamageError(f"{self.name} is damaged at {info.filename}: {error}; get it again") from None

    def _add(self, path: str, info: zipfile.ZipInfo) -> None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFDIR:
            return
        if is_hidden(PurePosixPath(path)):
            self.left_out.append(LeftOut(path, "hidden"))
        elif kind not in (0, stat.S_IFREG):
            reason = "a link, which an archive cannot follow" if kind == stat.S_IFLNK else "neither file nor folder"
            self.left_out.append(LeftOut(path, reason))
        elif (other := self._infos.get(path)) is None:
            self._infos[path] = info
        elif (other.file_size, other.CRC) == (info.file_size, info.CRC):
            self.left_out.append(LeftOut(path, "listed a second time"))
        elif self._is_picture(path, other) or self._is_picture(path, info):
            raise InputError(f"{self.name} has 2 members named {path!r}; rename one of them")
        else:  # Programs that unpack an archive leave the last one.
            self._infos[path] = info
            self.left_out.append(LeftOut(path, "listed again with other bytes, which are read instead"))

    def _is_picture(self, path: str, info: zipfile.ZipInfo) -> bool:
        return is_picture(PurePosixPath(path), lambda: self._read(info, FIRST_BYTES))


@contextmanager
def open_archive(path: Path, name: str, nested: str = "") -> Iterator[Archive]:
    """Open an archive, or the archive in it whose name without folders is `nested`, if there is one.

    Args:
        path: the archive.
        name: how messages call it.
        nested: the name of an archive in it that is opened instead.

    Raises:
        InputError: it is not a zip archive, it is unsafe, or two pictures in it have the same name.
    """
    with ExitStack() as stack:
        outer = stack.enter_context(_open_zip(path, name))
        inner = next(
            (info for info in outer.infolist() if nested and PurePosixPath(info.filename).name == nested), None
        )
        if inner is None:
            yield Archive(outer, name)
            return
        # It is copied out first, because seeking within a member reads it again from its start.
        copy = stack.enter_context(_scratch_file(path.parent, inner.file_size))
        copy.writelines(_blocks(outer, inner, name))
        name = f"{name}/{inner.filename}"
        archive = Archive(stack.enter_context(_open_zip(copy, name)), name)
        archive.leave_out_beside((info.filename for info in outer.infolist() if not info.is_dir()), inner.filename)
        yield archive


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts `cat.2` before `cat.10`, the same on every system and in every locale."""
    parts = re.split(r"([0-9]+)", name)
    # Digits without leading zeros compare as numbers do if the length comes first; `int` refuses thousands of digits.
    digits = [part.lstrip("0") for part in parts[1::2]]
    keys = [(0, part) for part in parts]
    keys[1::2] = [(len(part), part) for part in digits]
    return keys, name


def is_unsafe(path: str) -> bool:
    """Tell whether a path could lead out of the folder that it is relative to, on any system."""
    parts = PurePosixPath(path).parts
    return "\0" in path or "\\" in path or path.startswith("/") or ".." in parts or bool(re.match(r"[A-Za-z]:", path))


def _refuse_unsafe_name(path: str, name: str) -> None:
    if is_unsafe(path):
        raise InputError(f"{name} has the unsafe member name {path!r}; pack it again with relative names and /")


def _scratch_file(folder: Path, size: int) -> IO[bytes]:
    """Return a file without a name for `size` bytes, in `folder` or, if nothing can be written there, elsewhere."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the caller closes it)
    except OSError:
        folder = Path(tempfile.gettempdir())
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (the caller closes it)
    require_space(folder, size)
    return file


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as source:
            while block := source.read(2**20):
                yield block
    except _DAMAGE as error:
        raise InputError(f"{name} is damaged at {member.filename}: {error}; get it again") from None


def _open_zip(file: Path | IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
        packed = file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        raise InputError(f"{file}: not found; check the path") from None
    except PermissionError:  # It says nothing about the archive.
        raise
    except _DAMAGE as error:
        raise InputError(f"{name} is no complete zip archive ({error}); get it again") from None
    try:
        _refuse_unsafe(archive, name, packed)
    except InputError:
        archive.close()
        raise
    return archive


def _refuse_unsafe(archive: zipfile.ZipFile, name: str, packed: int) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise InputError(f"{name} has {len(members)} members, more than {MAX_MEMBERS}")
    for info in members:
        _refuse_unsafe_name(info.orig_filename, name)
        if info.flag_bits & _ENCRYPTED:
            raise InputError(f"{name} is protected by a password; pack it again without one")
        if info.compress_type not in METHODS:
            raise InputError(f"{name}: {info.orig_filename} is packed by an unusual method; pack it again with deflate")
    unpacked = sum(info.file_size for info in members)
    if unpacked > max(MAX_PICTURE_BYTES, MAX_RATIO * packed):
        raise InputError(f"{name} has {packed} bytes and would unpack to {unpacked}, which no pictures do")
