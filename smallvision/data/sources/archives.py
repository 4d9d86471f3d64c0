"""Zip archives of labelled pictures, read safely, whatever their layout.

Three layouts are recognised by their content:

- Kaggle: `train.zip` inside, or `train/cat.0.jpg`. The label stands in the name of the file, and every folder holds all
  labels.
- Class folders: `anything/cat/picture.jpg`. The label is the name of the folder.
- PetImages: class folders named `Cat` and `Dog`, with stray files beside the pictures.
"""

import os
import re
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from smallvision.core.errors import InputError
from smallvision.core.files import require_space
from smallvision.data.sources.picture_files import has_picture_suffix, is_hidden

MAX_MEMBERS = 2_000_000
MAX_PICTURE_BYTES = 200 * 2**20
# How many times its own size an archive may unpack to, if that is more than one picture's maximum. Pictures hardly
# shrink; the zeros that a zip bomb is made of shrink to a thousandth.
MAX_RATIO = 100
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KAGGLE_NAME = re.compile(r"(?P<label>[^.].*)\.\d+\.\w+")
# The errors that `zipfile` and the decompressor raise on damaged bytes.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member:
    """A picture in an archive, with its label and its path there."""

    label: str
    path: str
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """The name of the file without its folders."""
        return PurePosixPath(self.path).name


class PictureArchive:
    """The pictures of an open archive.

    Attributes:
        members: for each label, in sorted order, its pictures in natural order (`cat.2` before `cat.10`).
        ignored: the paths of the files that are not pictures.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        files = [info for info in archive.infolist() if not info.is_dir()]
        pictures = [info for info in files if _is_picture(info.filename)]
        self.ignored = sorted(info.filename for info in files if not _is_picture(info.filename))
        self.members = _by_label(pictures, name)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a picture.

        Raises:
            InputError: the archive is damaged at this member.
        """
        try:
            with self._archive.open(member.info) as source:
                # Without a count, `read` would also unpack what lies beyond the size that was checked.
                return source.read(member.info.file_size)
        except _DAMAGE as error:
            raise InputError(f"{self._name} is damaged at {member.path}: {error}; get it again") from None


@contextmanager
def open_pictures(path: Path, name: str = "") -> Iterator[PictureArchive]:
    """Open an archive in any of the layouts.

    Args:
        path: the archive.
        name: how messages call it; by default the name of the file.

    Raises:
        InputError: it is not a zip archive, it is unsafe, or it has none of the layouts.
    """
    name = name or path.name
    with ExitStack() as stack:
        archive = stack.enter_context(_open_zip(path, name))
        names = archive.namelist()
        nested = next((n for n in names if PurePosixPath(n).name == "train.zip"), None)
        if nested:
            # It is copied out first, because seeking within a member reads it again from its start.
            copy = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
            require_space(path.parent, archive.getinfo(nested).file_size)
            copy.writelines(_blocks(archive, nested, name))
            archive, name = stack.enter_context(_open_zip(copy, f"{name}/{nested}")), f"{name}/{nested}"
        yield PictureArchive(archive, name)


def verify(path: Path, name: str) -> None:
    """Read every picture of an archive to its end, so that damage is found now and not by a later stage.

    Args:
        path: the archive.
        name: how messages call it.

    Raises:
        InputError: it cannot be used; the message names the archive and, if one is damaged, the member.
    """
    with open_pictures(path, name) as archive:
        for members in archive.members.values():
            for member in members:
                archive.read(member)


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts `cat.2` before `cat.10`, the same on every system and in every locale."""
    parts = re.split(r"([0-9]+)", name)
    # Digits without leading zeros compare as numbers do if the length comes first; `int` refuses thousands of digits.
    digits = [part.lstrip("0") for part in parts[1::2]]
    keys = [(0, part) for part in parts]
    keys[1::2] = [(len(part), part) for part in digits]
    return keys, name


def _blocks(archive: zipfile.ZipFile, member: str, name: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as source:
            while block := source.read(2**20):
                yield block
    except _DAMAGE as error:
        raise InputError(f"{name} is damaged at {member}: {error}; get it again") from None


def _open_zip(file: Path | IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
        packed = file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        raise InputError(f"{file}: not found; `dvc repro fetch` makes it") from None
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
        raw = info.orig_filename
        parts = PurePosixPath(raw).parts
        if "\0" in raw or "\\" in raw or raw.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", raw):
            raise InputError(f"{name} has the unsafe member name {raw!r}; pack it again with relative names and /")
        if info.flag_bits & _ENCRYPTED:
            raise InputError(f"{name} is protected by a password; pack it again without one")
        if _is_picture(raw) and info.file_size > MAX_PICTURE_BYTES:
            raise InputError(f"{name}: {raw} would unpack to {info.file_size} bytes, which no picture needs")
        if info.compress_type not in METHODS:
            raise InputError(f"{name}: {raw} is packed by an unusual method; pack it again with deflate")
    unpacked = sum(info.file_size for info in members)
    if unpacked > max(MAX_PICTURE_BYTES, MAX_RATIO * packed):
        raise InputError(f"{name} has {packed} bytes and would unpack to {unpacked}, which no pictures do")
    # Names that differ only by case are one file on macOS and Windows. If two members have the same name, `testzip` and
    # `extractall` of `zipfile` see only the last.
    name_of, count = Counter(i.filename.casefold() for i in members).most_common(1)[0] if members else ("", 0)
    if count > 1:
        raise InputError(f"{name} has {count} members named {name_of!r}; rename one of them")


def _is_picture(path: str) -> bool:
    pure = PurePosixPath(path)
    return has_picture_suffix(pure) and not is_hidden(pure)


def _alike(label: str) -> str:
    """Return the form of a label that is the same for two labels whose folders macOS or Windows would confuse."""
    return unicodedata.normalize("NFC", label).casefold()


def _by_label(files: list[zipfile.ZipInfo], name: str) -> dict[str, list[Member]]:
    files = [info for info in files if stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)]
    by_name: dict[str, list[Member]] = defaultdict(list)
    by_folder: dict[str, list[Member]] = defaultdict(list)
    labels_in: dict[PurePosixPath, set[str]] = defaultdict(set)
    for info in files:
        path = PurePosixPath(info.filename)
        if match := _KAGGLE_NAME.fullmatch(path.name):
            by_name[match["label"]].append(Member(match["label"], info.filename, info))
            labels_in[path.parent].add(match["label"])
        if path.parent.name:
            by_folder[path.parent.name].append(Member(path.parent.name, info.filename, info))
    # A name such as `cats/cat.0.jpg` fits both layouts. The label is taken from it only if most files have such a name
    # and every folder holds every label: folders such as train/ and validation/ do, hen/ and owl/ do not.
    named = sum(len(members) for members in by_name.values())
    mixed = len(by_name) > 1 and all(labels == by_name.keys() for labels in labels_in.values())
    found = by_name if mixed and 2 * named > len(files) else by_folder
    if len(found) < 2:
        raise InputError(
            f"{name}: expected pictures of at least two classes, as train/cat.0.jpg or class/picture.jpg; "
            f"found {len(files)} pictures of {len(found)} ({', '.join(list(found)[:3]) or 'none'})"
        )
    seen: dict[str, str] = {}
    for label in sorted(found):
        if (other := seen.setdefault(_alike(label), label)) != label:
            raise InputError(
                f"{name}: the classes {other!a} and {label!a} differ only by case or by how an accent is encoded, "
                "and would be one folder on some systems; rename one, or put their pictures into one folder"
            )
    return {label: sorted(found[label], key=lambda member: natural_key(member.path)) for label in sorted(found)}
