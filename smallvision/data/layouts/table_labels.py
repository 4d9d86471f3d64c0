"""Read labels from the tables that come with pictures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from smallvision.core.errors import InputError, ParameterError, counted, in_words, listed
from smallvision.data.layouts.columns import Roles, find_roles, gives_labels
from smallvision.data.layouts.file_index import FileIndex
from smallvision.data.layouts.tables import SHEETS, SUFFIXES, Column, Table, parse_table
from smallvision.data.layouts.words import is_only_a_subset, subset_in, words_of
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.files import SourceFiles

ELSEWHERE = ("top", "parent", "name")  # the values of `labels` that say that the labels stand in no table
MAX_TABLES = 20  # a source with more tables than this often has one for each picture
MAX_BYTES = 200 * 2**20


@dataclass
class TableReading:
    """What tables say.

    Attributes:
        used: the tables that gave labels, each with the name of the column.
        labels: the label of each picture that has one.
        subsets: the subset of each picture for which a table says it.
        left_out: why a picture takes no part.
        groups: for each column, the group of each picture.
        notes: lines for the owner of the pictures.
        doubts: why a table was not used although it may be the right one, with the remedy.
        unread: tables that name no picture.
        sheets: spreadsheets, which are not read.
    """

    used: list[tuple[str, str]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    subsets: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)

    @property
    def reader(self) -> str:
        """The tables that gave labels, for people."""
        return f"the table {in_words([f'{table}, column {column}' for table, column in self.used])}"


def read_tables(files: SourceFiles, subsets: Mapping[str, str | None], labels: str, group: str | None) -> TableReading:
    """Read the tables of a source: labels, subsets and groups.

    Args:
        files: the source.
        subsets: all its pictures, with the subset that their folders name.
        labels: the parameter. Unless it names a table (`labels.csv`), and perhaps its column (`labels.csv:breed`), all
            tables that fit are read. If it says that labels stand elsewhere, tables give only subsets and groups.
        group: the value of `split.group`, which may be a column.

    Raises:
        ParameterError: there is no such table, or no such column.
        InputError: the table that `labels` names cannot be read, or leaves its labels open; two tables give different
            labels to the same picture.
    """
    reading = TableReading()
    index, named = FileIndex(subsets if files.others else {}), None  # without any other file there is no table
    if labels not in ("auto", *ELSEWHERE):
        name, _, column = labels.partition(":")
        named = _named(files, name)
        table, roles = _understand(named, files.read(named), index, column or None)
        if roles is None or roles.labels is None:
            raise InputError(_why_not(files, table, roles))
        _add(reading, table, roles, group, index)
    for path in _candidates(files, reading):
        if path != named:
            _add_if_it_fits(reading, files, path, index, group, labels)
    return reading


def _understand(path: str, data: bytes, index: FileIndex, column: str | None = None) -> tuple[Table, Roles | None]:
    """Read a table, and find out what its columns are; None if it names no pictures.

    Raises:
        InputError: it cannot be read.
        ParameterError: it has no such column of labels.
    """
    table = _with_header(parse_table(path, data), index)
    return table, find_roles(table, index, _subset_of(path), column)


def _add_if_it_fits(
    reading: TableReading, files: SourceFiles, path: str, index: FileIndex, group: str | None, labels: str
) -> None:
    """Add what a table says that `labels` does not name; unless that is `auto`, only subsets and groups count."""
    data = files.read(path)  # outside of `try`, because a damaged archive must not pass for a bad table
    try:
        table, roles = _understand(path, data, index)
    except InputError as error:
        reading.doubts.append(str(error))
        return
    if roles is None:
        if labels == "auto":
            _refuse_same_names(files, table, index)
        reading.unread.append(path)
        return
    if labels != "auto":
        roles = replace(roles, labels=None, several={}, doubt="")
    if roles.doubt:
        reading.doubts.append(_why_not(files, table, roles))
    _add(reading, table, roles, group, index)


def _named(files: SourceFiles, name: str) -> str:
    """Return the path of the table that `labels` names by its whole path or by the end of it."""
    found = [path for path in files.others if path == name or path.endswith(f"/{name}")]
    if name in found or len(found) == 1:
        return name if name in found else found[0]
    if name.lower().endswith(SHEETS):
        raise ParameterError(f"params.yaml: labels: {name}: spreadsheets are not read; save the table as CSV")
    tables = [path for path in files.others if path.lower().endswith(SUFFIXES)]
    why = "several tables are called so" if found else "there is no such table"
    raise ParameterError(
        f"params.yaml: labels: {name}: {why} in {files.name}; "
        f"its tables are {listed(found or tables) or 'none'}; or auto, top, parent, name"
    )


def _candidates(files: SourceFiles, reading: TableReading) -> list[str]:
    """Return the tables that may hold labels, and note what is not read.

    A table called `submission` is the form in which Kaggle wants the answers, so what stands in it means nothing.
    """
    tables = [path for path in files.others if path.lower().endswith(SUFFIXES)]
    reading.sheets += [path for path in files.others if path.lower().endswith(SHEETS)]
    meant = [path for path in tables if "submission" not in words_of(PurePosixPath(path).stem)]
    large = [path for path in meant if files.size(path) > MAX_BYTES]
    if len(meant) > MAX_TABLES or large:
        reading.notes.append(
            f"{len(meant)} tables ({listed(large or meant, 2)}) were not read; `labels: TABLE` names the right one"
        )
        return []
    return meant


def _with_header(table: Table, index: FileIndex) -> Table:
    """Return a table without a header, whose first row names a picture, with numbers for names of its columns."""
    header = list(table.columns)
    if not any(index.find(name, table.folder, None) and PurePosixPath(name).suffix for name in header):
        return table
    cells = zip(header, table.columns.values(), strict=True)
    return Table(table.path, {str(n): [first, *column] for n, (first, column) in enumerate(cells, 1)})


def _subset_of(path: str) -> str | None:
    """Return the subset that the name of a table says, as in `train.csv`, or its folder, as in `train/metadata.csv`."""
    pure = PurePosixPath(path)
    names = [pure.stem, *filter(is_only_a_subset, reversed(pure.parts[:-1]))]
    return next((found[0] for name in names if (found := subset_in(name))), None)


def _why_not(files: SourceFiles, table: Table, roles: Roles | None) -> str:
    if roles is None:
        return (
            f"{table.path}: no column names the pictures of {files.name} (such as {listed(files.pictures[:2])}); "
            f"its columns are {listed(table.columns, 20)}"
        )
    doubt = roles.doubt or "it has no column of labels"
    return f"{table.path} names pictures, but {doubt}; `labels: {table.path}:COLUMN` in params.yaml names one"


def _refuse_same_names(files: SourceFiles, table: Table, index: FileIndex) -> None:
    """Refuse a table of labels whose rows fit pictures in several folders: nobody can tell which are meant.

    Tables of other things, such as a list of numbered classes or a log, have numbers too that names may begin with.
    """
    known = {PurePosixPath(path).stem for path in files.pictures}
    for name, column in table.columns.items():
        cells = {cell for cell in column if cell}
        several = [cell for cell in cells if len(index.find(cell, table.folder, _subset_of(table.path))) > 1]
        if len(several) > 1 and 2 * len(several) > max(len(cells), len(known)) and gives_labels(table, name):
            raise InputError(
                f"{files.name}: {table.path} names {min(several)}, which is in several folders; write the folders into "
                "the table"
            )


def _add(reading: TableReading, table: Table, roles: Roles, group: str | None, index: FileIndex) -> None:
    """Add what a table says of each picture."""
    missing = [row for row, path in enumerate(roles.paths) if path is None]
    unlike: list[str] = []
    for row, path in enumerate(roles.paths):
        if path is None:
            continue
        label = roles.labels[row] if roles.labels else None
        if row in roles.several:
            reading.left_out[path] = f"several labels in {table.path}"
        elif label is not None and reading.labels.setdefault(path, label) != label:
            unlike.append(path)
        if (subset := roles.subsets[row]) and (roles.by_column or not index.subset(path)):
            said = (subset, index.subset(path) or subset, reading.subsets.get(path, subset))
            # If one of them says that it is a test picture, it must not be trained on.
            reading.subsets[path] = max(said, key=SUBSETS.index)
    for name in [name for name in table.columns if name in roles.groups or name == group]:
        _add_groups(reading.groups.setdefault(name, {}), roles.paths, table.columns[name])
    _refuse_other_labels(reading, table, unlike)
    for path in unlike:
        reading.labels.pop(path, None)
        reading.left_out[path] = f"different labels in {table.path}"
    reading.notes += roles.notes
    if roles.labels is not None:
        reading.used.append((table.path, roles.label))
    if missing:
        reading.notes.append(
            f"{table.path}: {len(missing)} of {len(table)} rows name no picture ({_first_of(table, missing)})"
        )


def _add_groups(groups: dict[str, str], paths: Sequence[str | None], cells: Column) -> None:
    found = {path: cell for path, cell in zip(paths, cells, strict=True) if path and cell}
    # A program may have written a column of whole numbers partly as 1 and partly as 1.0.
    groups.update({path: re.sub(r"^(\d+)\.0$", r"\1", cell) for path, cell in found.items()})


def _refuse_other_labels(reading: TableReading, table: Table, unlike: Sequence[str]) -> None:
    """Refuse a second table that gives other labels to more than a tenth of its pictures; fewer are left out."""
    if reading.used and 10 * len(unlike) > len(table):
        raise InputError(
            f"{reading.used[-1][0]} and {table.path} give {counted(len(unlike), 'picture')} different labels "
            f"({unlike[0]}); decide with `labels: {table.path}` or the other in params.yaml"
        )


def _first_of(table: Table, rows: Sequence[int]) -> str:
    """Return the number, as programs for tables count rows, and the cells of the first of some rows."""
    cells = [str(column[rows[0]]) for column in list(table.columns.values())[:3]]
    return f"the first is row {rows[0] + 2}: {', '.join(cells)}"
