"""Which column of a table names the file, the label, the subset and the group."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from smallvision.core.errors import ParameterError, listed
from smallvision.data.layouts.file_index import FileIndex
from smallvision.data.layouts.tables import Column, Table
from smallvision.data.layouts.words import subset_in
from smallvision.data.pictures.manifest import SUBSETS

# Below, columns are called by the form of their names that `_bare` returns.
# Columns of files; if two of them name as many pictures, the one that comes first here is taken.
_FILES = (
    "filename file filepath path image imagepath imagename imageid imagefile img imgpath imgname imgid picture "
    "pictureid photo photoid id idcode name fname uuid"
).split()
_LABELS = frozenset(
    "label labels labelname labelid labeltext labelstr labelstring labeldesc class classes classname classlabel "
    "classid classstr classdesc category categoryname categoryid target targetname targets y tag groundtruth".split()
)
# Columns of what is no label, although few values may come again and again, as those of labels do.
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


def find_roles(table: Table, index: FileIndex, subset: str | None, column: str | None) -> Roles | None:
    """Find out what the columns of a table are.

    The column of the files is the one whose cells name most pictures, whatever it is called. Columns of subsets and of
    groups are known by their names, and those of subsets by their values too. The labels are in one of the others.

    Args:
        table: the table.
        index: the pictures of the source.
        subset: the subset that the name or the folder of the table names.
        column: the column of the labels, if `labels` names it.

    Returns:
        The roles; None if no column names enough pictures: half as many as the table has rows, or as there are pictures
        in the folders of `subset`, whichever is less.

    Raises:
        ParameterError: there is no such column.
    """
    if column is not None and column not in table.columns:
        raise ParameterError(
            f"params.yaml: labels: {table.path} has no column {column!r}; its columns are {listed(table.columns, 20)}"
        )
    subsets, subset_columns, notes = _subsets(table, subset)
    cells_of = {name: cells for name, cells in table.columns.items() if name != column}
    found = {name: index.column(table, cells, subsets, only=subset) for name, cells in cells_of.items()}
    counts = {name: len(set(paths) - {None}) for name, paths in found.items()}
    ranked = sorted(counts, key=lambda name: (-counts[name], _rank(name)))
    if not ranked or not counts[ranked[0]] or 2 * counts[ranked[0]] < min(len(table), index.count(subset)):
        return None
    file = ranked[0]
    others = [name for name in table.columns if name not in (file, *subset_columns) and _bare(name) not in _SPLITS]
    groups = [name for name in others if _bare(name) in _GROUPS]
    if column:
        labels = _Labels(column, table.columns[column])
    else:
        labels = _find_labels(table, [name for name in others if name not in groups])
    if not subset_columns and ((labels.labels is None and len(table.columns) > 1) or notes):
        subsets = [None] * len(table)  # notes in `test_notes.csv` do not make a test set, but labels do
    return Roles(
        paths=found[file],
        labels=labels.labels,
        doubt=labels.doubt,
        label=labels.label,
        several=labels.several,
        subsets=subsets,
        by_column=bool(subset_columns),
        groups=groups,
        notes=notes,
    )


def gives_labels(table: Table, file: str) -> bool:
    """Tell whether a table has a column of labels beside the one of files."""
    others = [name for name in table.columns if name != file and _bare(name) not in _GROUPS]
    return _find_labels(table, others).labels is not None


def _bare(name: str) -> str:
    """Return the name of a column with small letters and digits only."""
    return re.sub(r"[\W_]", "", name.lower())


def _rank(name: str) -> int:
    return _FILES.index(_bare(name)) if _bare(name) in _FILES else len(_FILES)


def _subsets(table: Table, subset: str | None) -> tuple[list[str | None], list[str], list[str]]:
    """Find the columns that say the subset of a picture.

    Such a column is called so (`split`) and has some value that names a subset, or it has several values that all do.
    Or it is one of `_FLAGS`. It does not matter what stands in a column of labels: `test` may be a class.

    Args:
        table: the table.
        subset: the subset of rows for which no column says one.

    Returns:
        The subset of each row, the columns that were used, and lines about values that name no subset.
    """
    subsets: list[str | None] = [subset] * len(table)
    columns, notes = [], []
    for name, cells in table.columns.items():
        if _bare(name) in _LABELS:
            continue
        values = {cell for cell in cells if cell}
        called = _bare(name) in _SPLITS
        # In a column of any name, values with other words (`train station`) are no subsets.
        named = {value: pair[0] for value in values if (pair := subset_in(value)) and (called or not pair[1])}
        if named and (called or (len(values) > 1 and len(named) == len(values))):
            columns.append(name)
            subsets = [named.get(cell, old) if cell else old for cell, old in zip(cells, subsets, strict=True)]
        elif _bare(name) in _FLAGS and _is_flag(cells):
            columns.append(name)
            true, false = _FLAGS[_bare(name)]
            subsets = [
                _latest(true if cell.lower() in _TRUE else false, old) if cell else old
                for cell, old in zip(cells, subsets, strict=True)
            ]
        if called and (rest := values - named.keys()):
            so = "their pictures are taken for training ones" if named else "the column was not used"
            notes.append(f"{table.path}: column {name}: no subset is called {listed(rest)}; {so}")
    return subsets, columns, notes


def _latest(one: str, other: str | None) -> str:
    """Return the one of two subsets that is used later: what one column calls a test picture is not trained on."""
    return max(one, other or "train", key=SUBSETS.index)


@dataclass(frozen=True)
class _Labels:
    """The labels of a table, with the meaning that `Roles` has for them."""

    label: str = ""
    labels: Column | None = None
    several: Mapping[int, Sequence[str]] = field(default_factory=dict)
    doubt: str = ""


def _find_labels(table: Table, names: Sequence[str]) -> _Labels:
    """Find the labels among the columns that are nothing else.

    The first of these that there is decides: a column that is called so; several columns of zeros and ones, with
    exactly one one in at least nine rows of ten; and the only column whose values come again and again.
    """
    if any(_bare(name) == "x" for name in names):  # Then x and y are the place of a box in the picture.
        names = [name for name in names if _bare(name) != "y"]
    known = [name for name in names if _bare(name) in _LABELS and any(table.columns[name])]
    if known:
        best = _same_in_words(table, known)
        if best is None:
            return _Labels(doubt=f"the columns {listed(known)} could all be labels")
        return _Labels(best, table.columns[best])
    flags = [name for name in names if _is_flag(table.columns[name])]
    if one_hot := _one_hot(table, flags):
        return one_hot
    names = [name for name in names if _bare(name) not in _OTHERS]
    repeat = [name for name in names if _repeats(table, name, numbers=len(names) == 1)]
    if len(repeat) == 1 and (repeat[0] not in flags or len(names) == 1):
        return _Labels(repeat[0], table.columns[repeat[0]])
    return _Labels(doubt=f"its columns are {listed(table.columns, 20)}" if repeat or flags else "")


def _one_hot(table: Table, names: Sequence[str]) -> _Labels | None:
    """Return the labels that columns of zeros and ones give, each called like a class; None if they do not."""
    rows = [[name for name in names if (table.columns[name][row] or "").lower() in _TRUE] for row in range(len(table))]
    if len(names) < 2 or not rows or sum(len(row) == 1 for row in rows) < 0.9 * len(rows):
        return None
    several = {number: row for number, row in enumerate(rows) if len(row) > 1}
    return _Labels(f"{names[0]} to {names[-1]}", [row[0] if len(row) == 1 else None for row in rows], several)


def _is_flag(cells: Column) -> bool:
    values = {cell.lower() for cell in cells if cell}
    return bool(values) and values <= _TRUE | _FALSE


def _repeats(table: Table, name: str, *, numbers: bool) -> bool:
    """Tell whether the values of a column come again and again, at least twice on average, as labels do.

    They must be words. Only if no other column is left, whole numbers may be labels too.
    """
    cells = [cell for cell in table.columns[name] if cell]
    allowed = r"[-+]?\d+(\.0)?" if numbers else "$^"
    values = set(cells)
    words = all(re.fullmatch(allowed, cell) or not re.fullmatch(r"[-+.\deE]+", cell) for cell in values)
    return 1 < len(values) <= len(cells) / 2 and words


def _same_in_words(table: Table, names: Collection[str]) -> str | None:
    """Return the column with most words, if all of some columns say the same in other terms; None if they do not.

    Many tables have the labels twice, as numbers and as words.
    """
    columns = [table.columns[name] for name in names]
    rows = set(zip(*columns, strict=True))
    if any(len(set(column)) != len(rows) for column in columns):
        return None
    return max(names, key=lambda name: sum(bool(cell and re.search(r"[^\W\d_]", cell)) for cell in table.columns[name]))
