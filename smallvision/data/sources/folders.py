"""Folders of pictures: what is in them and below, links included, without any meaning."""

import errno
import os
import stat
from pathlib import Path

from smallvision.core.errors import InputError, counted, in_words
from smallvision.data.sources.archives import MAX_MEMBERS, is_unsafe
from smallvision.data.sources.picture_files import LeftOut


class Folder:
    """The files of a folder and of the folders below.

    Links to files and folders are followed, as torchvision and timm do, and as DVC's own links to its cache need.

    Attributes:
        name: how messages call the folder.
        sizes: the size in bytes of each file that is not left out, by its path with `/`.
        left_out: the files and folders that take no part; what is in a hidden folder is not listed.
    """

    def __init__(self, path: Path, name: str) -> None:
        """List what is in the folder at `path`.

        Raises:
            InputError: the name of a file cannot stand in an archive, or there are more than `MAX_MEMBERS` files.
            OSError: a folder cannot be read.
        """
        self.name = name
        self.sizes: dict[str, int] = {}
        self.left_out: list[LeftOut] = []
        self._path = path
        self._linked_files = self._linked_folders = self._seen = 0
        # Each folder that is still to be listed, with the identities of all the folders on the way to it. A link to one
        # of these would lead round in a circle for ever.
        todo = [("", frozenset([_identity(path.stat())]))]
        while todo:
            below, way = todo.pop()
            todo += self._list(below, way)

    @property
    def notes(self) -> list[str]:
        """Lines that the owner of the folder should read."""
        counts = ((self._linked_files, "file"), (self._linked_folders, "folder"))
        words = [counted(count, what) for count, what in counts if count]
        return [f"followed links to {in_words(words)}"] if words else []

    def read(self, path: str, count: int | None = None) -> bytes:
        """Return the first `count` bytes of a file, by default as many as it had when the folder was listed.

        Raises:
            OSError: the file cannot be read.
        """
        with (self._path / path).open("rb") as file:
            return file.read(self.sizes[path] if count is None else count)

    def _list(self, below: str, way: frozenset[tuple[int, int]]) -> list[tuple[str, frozenset[tuple[int, int]]]]:
        """List the folder `below`, and return the folders in it that are to be listed too."""
        found = []
        with os.scandir(self._path / below) as entries:
            for entry in entries:
                path = below + entry.name
                status = self._status_of(entry, path)
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    identity = _identity(status)
                    if identity in way:
                        self.left_out.append(LeftOut(f"{path}/", "behind a link in a circle"))
                        continue
                    found.append((f"{path}/", way | {identity}))
                    self._linked_folders += entry.is_symlink()
                else:
                    self.sizes[path] = status.st_size
                    self._linked_files += entry.is_symlink()
        return found

    def _status_of(self, entry: os.DirEntry[str], path: str) -> os.stat_result | None:
        """Return what is known of a file or folder, behind its link if it is one; None if it is left out."""
        self._seen += 1
        if self._seen > MAX_MEMBERS:
            raise InputError(f"{self.name} has more than {MAX_MEMBERS} files; look whether a link leads out of it")
        if entry.name.startswith("."):
            shown = path.encode(errors="backslashreplace").decode()  # for a name that is not UTF-8
            self.left_out.append(LeftOut(f"{shown}/" if entry.is_dir(follow_symlinks=False) else shown, "hidden"))
            return None
        _refuse_name(entry.path, path)
        try:
            status = Path(entry.path).stat()
        except OSError as error:
            reasons = dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "behind a dead link") | {
                errno.ELOOP: "behind a link in a circle"
            }
            if error.errno not in reasons:
                raise
            self.left_out.append(LeftOut(path, reasons[error.errno]))
            return None
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            self.left_out.append(LeftOut(path, "neither file nor folder"))
            return None
        return status


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _refuse_name(shown: str, path: str) -> None:
    """Refuse a name that an archive or the manifest cannot hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{shown}: the name is not UTF-8; rename it") from None
    if is_unsafe(path):
        raise InputError(f"{shown}: the name would mean another place on some systems; rename it without \\ and :")
