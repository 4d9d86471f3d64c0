"""The files of an archive or a folder: which are pictures, which are not, and what takes no part.

What the files mean (labels, subsets, groups) is read in `smallvision.data.layouts`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from smallvision.core.errors import InputError, shorten
from smallvision.data.sources.archives import MAX_PICTURE_BYTES, Archive, DamageError, natural_key, open_archive
from smallvision.data.sources.folders import Folder
from smallvision.data.sources.picture_files import FIRST_BYTES, LeftOut, has_picture_suffix, is_picture

__all__ = ["LeftOut", "SourceFiles", "by_ending", "by_reason", "group_by_reason", "open_files"]

NESTED = "train.zip"  # Kaggle packs the labelled pictures of a competition so, and that archive into another one
MAX_ENDINGS = 5  # with more endings than this, messages do not list them all
MAX_SHOWN = 40  # characters of a path in a line


class SourceFiles:
    """The files of an archive or a folder that is open.

    Attributes:
        name: how messages call the archive or folder.
        pictures: the paths of the pictures, with `/`, in natural order (`cat.2` before `cat.10`). Pictures in formats
            that are not supported are among them, so that they are rejected with a reason.
        others: the paths of the other files (tables, texts and so on), in natural order.
        left_out: what takes no part and why, in natural order: hidden files, dead links and so on.
        notes: lines that the owner of the pictures should read, without the name of a stage in front.
    """

    def __init__(self, contents: Archive | Folder) -> None:
        """Sort the files of `contents`.

        Raises:
            InputError: a picture is larger than `MAX_PICTURE_BYTES`.
        """
        self.name = contents.name
        self.notes: Sequence[str] = contents.notes
        self._contents = contents
        pictures: list[str] = []
        others: list[str] = []
        left_out = [*contents.left_out]
        for path in sorted(contents.sizes, key=natural_key):
            try:
                (pictures if self._is_picture(path) else others).append(path)
            except DamageError:
                left_out.append(LeftOut(path, "damaged"))
        self.pictures: Sequence[str] = pictures
        self.others: Sequence[str] = others
        self.left_out: Sequence[LeftOut] = sorted(left_out, key=lambda one: natural_key(one.path))

    def size(self, path: str) -> int:
        """Return the size of a picture or another file in bytes, unpacked."""
        return self._contents.sizes[path]

    def read(self, path: str) -> bytes:
        """Return the bytes of a picture or of another file. Several threads may read at once.

        Raises:
            InputError: the archive is damaged at this file, or the file is larger than `MAX_PICTURE_BYTES`.
        """
        if self.size(path) > MAX_PICTURE_BYTES:
            raise InputError(
                f"{self.name}: {path} has {self.size(path)} bytes, more than the {MAX_PICTURE_BYTES} that are read"
            )
        return self._contents.read(path)

    def _is_picture(self, path: str) -> bool:
        pure, size = PurePosixPath(path), self.size(path)
        if size <= MAX_PICTURE_BYTES:
            return is_picture(pure, lambda: self._contents.read(path, FIRST_BYTES))
        if has_picture_suffix(pure):
            raise InputError(f"{self.name}: {path} would unpack to {size} bytes, which no picture needs")
        return False


@contextmanager
def open_files(path: Path, name: str = "") -> Iterator[SourceFiles]:
    """Open a zip archive or a folder. If it holds a file `train.zip`, as Kaggle packs it, that one is opened instead.

    Args:
        path: the archive or the folder.
        name: how messages call it; by default the last part of the path.

    Raises:
        InputError: there is nothing at `path`, it is no zip archive, it is unsafe, or the name of a file in a folder
            cannot stand in an archive.
        OSError: a folder cannot be read.
    """
    name = name or path.name
    if not path.is_dir():
        with open_archive(path, name, NESTED) as archive:
            yield SourceFiles(archive)
        return
    folder = Folder(path, name)
    nested = next((one for one in sorted(folder.sizes, key=natural_key) if PurePosixPath(one).name == NESTED), None)
    if nested is None:
        yield SourceFiles(folder)
        return
    with open_archive(path / nested, f"{name}/{nested}") as archive:
        archive.leave_out_beside(folder.sizes, nested)
        yield SourceFiles(archive)


def by_ending(paths: Sequence[str]) -> str:
    """Return how many files have which ending, such as `12 jpg, 3 png, 1 without ending`, the commonest first."""
    counts = Counter(_ending_of(path) for path in paths)
    listed = sorted(counts, key=lambda ending: (-counts[ending], ending))
    words = [f"{counts[ending]} {ending}" for ending in listed[:MAX_ENDINGS]]
    rest = sum(counts[ending] for ending in listed[MAX_ENDINGS:])
    return ", ".join([*words, f"{rest} others"] if rest else words)


def by_reason(left_out: Sequence[LeftOut]) -> str:
    """Return how many files are left out for which reason, each with the first of them, the commonest reason first."""
    words = []
    for reason, paths in group_by_reason((one.path, one.reason) for one in left_out).items():
        first, more = shorten(paths[0], MAX_SHOWN), ", …" if len(paths) > 1 else ""
        words.append(f"{len(paths)} {reason} ({first}{more})")
    return ", ".join(words)


def group_by_reason(files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the paths that have each reason, the commonest reason first.

    Args:
        files: pairs of a path and the reason why it takes no part.
    """
    paths = defaultdict(list)
    for path, reason in files:
        paths[reason].append(path)
    return {reason: paths[reason] for reason in sorted(paths, key=lambda reason: -len(paths[reason]))}


def _ending_of(path: str) -> str:
    ending = PurePosixPath(path).suffix[1:].lower()
    # `St. Bernard` has no ending.
    return ending if ending.isalnum() and len(ending) <= 10 else "without ending"
