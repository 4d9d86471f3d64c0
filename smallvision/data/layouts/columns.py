"""Which column of a table names the file, the label, the subset and the group."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from smallvision.core.errors import ParameterError
from smallvision.data.layouts.file_index import FileIndex
from smallvision.data.layouts.tables import Column, Table
from smallvision.data.layouts.words import listed, subset_in
from smallvision.data.pictures.manifest import SUBSETS

_FILES = (
    "filename file filepath path image imagepath imagename imageid imagefile img imgpath imgname imgid picture "
    "pictureid photo photoid id idcode name fname uuid"
).split()
_LABELS = frozenset(
    "label labels labelname labelid labeltext labelstr labelstring labeldesc class classes classname classlabel "
    "classid classstr classdesc category categoryname categoryid target targetname targets y tag groundtruth".split()
)
# Columns that are no labels, though their values may come again and again.
_OTHERS = frozenset(
    "width height size bytes depth channels date time datetime timestamp year month day url link source license "
    "caption text description comment notes title score confidence probability age sex gender x y w h xmin ymin xmax "
    "ymax left top right bottom latitude longitude md5 sha1 sha256 hash format mode index".split()
)
_SPLITS = frozenset("split splits subset set partition phase usage fold datasetsplit splittype".split())
_GROUPS = frozenset(
    "patient patientid group groupid subject subjectid lesion lesionid scene sceneid site siteid camera cameraid "
    "location locationid case caseid slide slideid video videoid sequence sequenceid series seriesid burst burstid "
    "individual individualid animalid plot plotid plantid session sessionid person personid author user userid".split()
)
_TRUE, _FALSE = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no"))
# What a column of true and false says of a picture: the subset if it is true, and if it is false.
_FLAGS = {
    "isvalid": ("validation", "train"), "isval": ("validation", "train"), "isvalidation": ("validation", "train"),
    "istest": ("test", "train"), "istrain": ("train", "test"), "istraining": ("train", "test"),
    "istrainingimage": ("train", "test"),
}  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are.

    Attributes:
        paths: the picture that each row names, or None.
        labels: the label that each row gives, or None. It is None altogether if no column can be told to hold them.
        doubt: what is unclear about the labels, for a message, if they are None; empty if no column may hold any.
        label: the name of the column, or of the first and last of several, for messages.
        several: the rows to which several one-hot columns give a label, with those labels.
        subsets: the subset that each row names, or None.
        by_column: whether a column says the subsets, and not only the name or the folder of the table.
        groups: the columns that look like groups, by name.
        notes: lines for the owner of the pictures, about subsets.
    """

    paths: Sequence[str | None]
    labels: Column | None
    doubt: str
    label: str
    several: Mapping[int, Sequence[str]]
    subsets: Sequence[str | None]
    by_column: bool
    groups: Sequence[str]
    notes: Sequence[str]


def plain(name: str) -> str:
    """Return the name of a column with small letters and digits only."""
    return re.sub(r"[\W_]", "", name.lower())


def find_roles(table: Table, index: FileIndex, subset: str | None, column: str | None) -> Roles | None:
    """Find out what the columns of a table are.

    Args:
        table: the table.
        index: the pictures of the source.
        subset: the subset that the name or the folder of the table names.
        column: the column of the labels, if `labels` names it.

    Returns:
        The roles; None if no column names half as many pictures as the table has rows, or half of the pictures.

    Raises:
        ParameterError: there is no such column.
    """
    if column is not None and column not in table.columns:
        raise ParameterError(
            f"params.yaml: labels: {table.path} has no column {column!r}; its columns are {listed(table.columns, 20)}"
        )
    subsets, subset_columns, notes = _subsets(table, subset)
    found = {name: index.column(table, cells, subsets) for name, cells in table.columns.items() if name != column}
    counts = {name: len(set(paths) - {None}) for name, paths in found.items()}
    ranked = sorted(counts, key=lambda name: (-counts[name], _rank(name)))
    if not ranked or not counts[ranked[0]] or 2 * counts[ranked[0]] < min(len(table), index.count(subset)):
        return None
    file = ranked[0]
    others = [name for name in table.columns if name not in (file, *subset_columns) and plain(name) not in _SPLITS]
    groups = [name for name in others if plain(name) in _GROUPS]
    label, labels, several, doubt = _labels(
        table, [column] if column else [n for n in others if n not in groups], column
    )
    return Roles(found[file], labels, doubt, label, several, subsets, bool(subset_columns), groups, notes)


def _rank(name: str) -> int:
    return _FILES.index(plain(name)) if plain(name) in _FILES else len(_FILES)


def _subsets(table: Table, subset: str | None) -> tuple[list[str | None], list[str], list[str]]:
    """Return the subset of each row, the columns that say so, and lines about values that name no subset."""
    subsets: list[str | None] = [subset] * len(table)
    columns, notes = [], []
    for name, cells in table.columns.items():
        values = {cell for cell in cells if cell}
        called = plain(name) in _SPLITS
        named = {value: pair[0] for value in values if (pair := subset_in(value)) and (called or not pair[1])}
        if plain(name) in _LABELS:
            continue
        if named and (called or (len(values) > 1 and len(named) == len(values))):
            columns.append(name)
            subsets = [named.get(cell, old) if cell else old for cell, old in zip(cells, subsets, strict=True)]
        elif plain(name) in _FLAGS and _is_flag(cells):
            columns.append(name)
            true, false = _FLAGS[plain(name)]
            subsets = [
                _latest(true if cell.lower() in _TRUE else false, old) if cell else old
                for cell, old in zip(cells, subsets, strict=True)
            ]
        if called and (rest := values - named.keys()):
            so = "their pictures are taken for training ones" if named else "the column was not used"
            notes.append(f"{table.path}: column {name}: no subset is called {listed(rest)}; {so}")
    return subsets, columns, notes


def _latest(one: str, other: str | None) -> str:
    """Return that of two subsets which is used later, so that whoever calls a picture a test picture is believed."""
    return max(one, other or "train", key=SUBSETS.index)


def _labels(
    table: Table, names: Sequence[str], asked: str | None
) -> tuple[str, Column | None, Mapping[int, Sequence[str]], str]:
    """Find the labels: a column called so, the only other column, one-hot columns, or the only one that repeats."""
    if any(plain(name) == "x" for name in names):
        names = [name for name in names if plain(name) != "y"]  # the place of a box
    if asked:
        return asked, table.columns[asked], {}, ""
    known = [name for name in names if plain(name) in _LABELS and any(table.columns[name])]
    if known:
        best = _same_in_words(table, known)
        if best:
            return best, table.columns[best], {}, ""
        return "", None, {}, f"the columns {listed(known)} could all be labels"
    hot = [name for name in names if _is_flag(table.columns[name])]
    rows = [[name for name in hot if (table.columns[name][row] or "").lower() in _TRUE] for row in range(len(table))]
    if len(hot) > 1 and rows and sum(len(row) == 1 for row in rows) >= 0.9 * len(rows):
        several = {number: row for number, row in enumerate(rows) if len(row) > 1}
        labels = [row[0] if len(row) == 1 else None for row in rows]
        return f"{hot[0]} to {hot[-1]}", labels, several, ""
    names = [name for name in names if plain(name) not in _OTHERS]
    repeat = [name for name in names if _repeats(table, name, numbers=len(names) == 1)]
    if len(repeat) == 1 and (repeat[0] not in hot or len(names) == 1):
        return repeat[0], table.columns[repeat[0]], {}, ""
    return "", None, {}, f"its columns are {listed(table.columns, 20)}" if repeat or hot else ""


def _is_flag(cells: Column) -> bool:
    values = {cell.lower() for cell in cells if cell}
    return bool(values) and values <= _TRUE | _FALSE


def _repeats(table: Table, name: str, *, numbers: bool) -> bool:
    """Tell whether a column has a few values that come again and again, as labels do: words, or also whole numbers."""
    cells = [cell for cell in table.columns[name] if cell]
    allowed = r"[-+]?\d+(\.0)?" if numbers else "$^"
    values = set(cells)
    words = all(re.fullmatch(allowed, cell) or not re.fullmatch(r"[-+.\deE]+", cell) for cell in values)
    return 1 < len(values) <= len(cells) / 2 and words


def _same_in_words(table: Table, names: Collection[str]) -> str | None:
    """Return the one of some columns whose values are words, if all say the same in other terms; else None."""
    columns = [table.columns[name] for name in names]
    rows = set(zip(*columns, strict=True))
    if any(len(set(column)) != len(rows) for column in columns):
        return None
    return max(names, key=lambda name: sum(bool(cell and re.search(r"[^\W\d_]", cell)) for cell in table.columns[name]))
