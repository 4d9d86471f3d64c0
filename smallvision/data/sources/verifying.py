"""Read an archive to its end, and say what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smallvision.core.errors import InputError, counted
from smallvision.data.sources.files import LeftOut, by_ending, by_reason, open_files


@dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        pictures: the paths of the pictures.
        others: the paths of the other files.
        left_out: the files that take no part.
        notes: lines that the owner of the pictures should read.
    """

    pictures: Sequence[str]
    others: Sequence[str]
    left_out: Sequence[LeftOut]
    notes: Sequence[str]

    def lines(self, name: str) -> list[str]:
        """Return what to print about it, in three lines at most, without the name of a stage in front.

        Args:
            name: how reports call the source.
        """
        lines = [f"{name}: {_count(self.pictures, 'picture')}"]
        if self.others:
            lines[0] += f", {_count(self.others, 'other file')}"
        if self.left_out:
            lines.append(f"left out: {by_reason(self.left_out)}")
        if self.notes:
            lines.append("; ".join(self.notes))
        return lines


def verify(path: Path, name: str) -> Contents:
    """Read every picture of an archive to its end, so that damage is found now and not by a later stage.

    Args:
        path: the archive.
        name: how messages call it.

    Raises:
        InputError: it cannot be used, or there is no picture in it; the message names the archive and, if one is
            damaged, the member.
    """
    with open_files(path, name) as files:
        if not files.pictures:
            found = _count(files.others, "file") if files.others else "no file"
            left_out = f" (left out: {by_reason(files.left_out)})" if files.left_out else ""
            raise InputError(
                f"{files.name}: expected pictures, found {found}{left_out}; check that it is what you meant"
            )
        for picture in files.pictures:
            files.read(picture)
        return Contents(files.pictures, files.others, files.left_out, files.notes)


def _count(paths: Sequence[str], what: str) -> str:
    return f"{counted(len(paths), what)} ({by_ending(paths)})"
