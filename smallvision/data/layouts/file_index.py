"""Find the file that a cell of a table means, however it is written."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from smallvision.data.layouts.tables import Column, Table
from smallvision.data.layouts.words import folded
from smallvision.data.sources.picture_files import has_picture_suffix

_Entry = tuple[str, tuple[str, ...]]  # the path of a picture, and its folders in the form of `folded`


class FileIndex:
    """The pictures of a source, to be found by a path, by the end of a path, or by a name without its ending."""

    def __init__(self, subsets: Mapping[str, str | None]) -> None:
        """Index the pictures.

        Args:
            subsets: all pictures, with the subset that their folders name.
        """
        self._subsets = subsets
        self._by_name: dict[str, list[_Entry]] = defaultdict(list)
        self._by_end: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        self._by_number: dict[int, list[_Entry]] = defaultdict(list)
        self._folders: set[str] = set()
        for path in subsets:
            pure = PurePosixPath(path)
            parts = tuple(map(folded, pure.parts))
            self._folders.update(parts[:-1])
            if re.fullmatch(r"[0-9]{1,18}", pure.stem):
                self._by_number[int(pure.stem)].append((path, parts[:-1]))
            for name in {folded(pure.name), folded(pure.stem)}:
                self._by_name[name].append((path, parts[:-1]))
                self._by_end["".join(parts[-2:-1]), name].append((path, parts[:-1]))

    def subset(self, path: str) -> str | None:
        """Return the subset that the folders of a picture name."""
        return self._subsets[path]

    def count(self, subset: str | None) -> int:
        """Return the number of pictures in the folders of a subset, or of all pictures if there are no such folders."""
        return sum(found == subset for found in self._subsets.values()) or len(self._subsets)

    def find(self, cell: str, folder: PurePosixPath, subset: str | None, only: str | None = None) -> list[str]:
        """Return the paths of the pictures that a cell may mean: one, none, or several that fit equally well.

        If several have the name, those win whose folders end like those in the cell, then those below the folder of
        the table, then those in the folders of its subset. Small and capital letters are the same unless both occur,
        and so are `.png` and `.jpg`, because pictures are often converted after a table was written. A table of a
        subset (`train.csv`) never means a picture in the folders of another one.

        Args:
            cell: what stands in the table.
            folder: the folder of the table.
            subset: the subset that the row of the table names.
            only: the subset that the table itself names.
        """
        pure = PurePosixPath(cell.replace("\\", "/"))
        wanted = tuple(folded(part) for part in pure.parts[:-1] if part not in (".", "/"))
        found = self._called(pure, wanted)
        if found and wanted:
            ends = [_common_end(parts, wanted) for _, parts in found]
            if max(ends) == 0 and wanted[-1] in self._folders:
                return []  # The cell means test/1.jpg, which is missing, and never train/1.jpg.
            found = _best(found, ends)
        elif only:
            found = [entry for entry in found if self._subsets[entry[0]] in (None, only)]
        ranks: Sequence[Callable[[str], bool]] = (
            lambda path: PurePosixPath(path).is_relative_to(folder),
            lambda path: self._subsets[path] == subset,
            lambda path: PurePosixPath(path).name == pure.name,
        )
        for rank in ranks:
            if len(found) > 1:
                found = _best(found, [rank(path) for path, _ in found])
        return [path for path, _ in found]

    def _called(self, pure: PurePosixPath, wanted: Sequence[str]) -> list[_Entry]:
        """Return the pictures of a name, if possible only those in a folder of the name that is wanted."""
        for name in (folded(pure.name), *([folded(pure.stem)] if has_picture_suffix(pure) else [])):
            if found := (wanted and self._by_end.get((wanted[-1], name))) or self._by_name.get(name, []):
                return found
        # 1 means 000001.jpg, and so does 1.0, which spreadsheets and pandas make of it.
        number = re.fullmatch(r"([0-9]{1,18})(\.0)?", pure.name)
        return self._by_number.get(int(number[1]), []) if number else []

    def column(self, table: Table, cells: Column, subsets: Sequence[str | None], only: str | None) -> list[str | None]:
        """Return the picture that each cell of a column means; None if there is none, or several fit."""
        found: dict[tuple[str | None, str | None], str | None] = {}
        for cell, subset in set(zip(cells, subsets, strict=True)):
            paths = self.find(cell, table.folder, subset, only) if cell else []
            found[cell, subset] = paths[0] if len(paths) == 1 else None
        return [found[pair] for pair in zip(cells, subsets, strict=True)]


def _common_end(parts: Sequence[str], wanted: Sequence[str]) -> int:
    """Return how many of the last folders are the same."""
    length = 0
    while length < min(len(parts), len(wanted)) and parts[-1 - length] == wanted[-1 - length]:
        length += 1
    return length


def _best(found: list[_Entry], ranks: Sequence[int]) -> list[_Entry]:
    best = max(ranks)
    return [entry for entry, rank in zip(found, ranks, strict=True) if rank == best]
