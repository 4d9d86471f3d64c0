"""Read tables of labels: CSV, TSV, JSON Lines and Parquet, as columns of strings."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from smallvision.core.errors import InputError, printable

if TYPE_CHECKING:
    from pyarrow import ChunkedArray

SHEETS = (".xlsx", ".xls", ".ods")  # spreadsheets, which are not read
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = ",;\t|"
_EMPTY = frozenset(("", "nan", "null", "na", "n/a", "<na>"))  # not "none", which is a class of defects or of animals

Column = Sequence[str | None]


@dataclass(frozen=True)
class Table:
    """A table in a source.

    Attributes:
        path: its path.
        columns: its columns by name, all of the same length. An empty cell is None, every other one a string as it
            stands in the file, without blanks around it.
    """

    path: str
    columns: Mapping[str, Column]

    @property
    def folder(self) -> PurePosixPath:
        """The folder in which the table lies."""
        return PurePosixPath(self.path).parent

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def parse_table(path: str, data: bytes) -> Table:
    """Read a table.

    The kind is told by the ending; any other ending than those of `SUFFIXES` is read like CSV. Text is UTF-8 (or
    UTF-16 with its mark). The delimiter of CSV is the comma, semicolon, tab or bar that divides all rows alike.

    Raises:
        InputError: the file is no table of its kind; the message names the row.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".parquet":
        rows = _parquet(path, data)
    elif suffix in (".jsonl", ".ndjson"):
        rows = _json_lines(path, _text(path, data))
    else:
        rows = _delimited(path, _text(path, data), "\t" if suffix == ".tsv" else _DELIMITERS)
    return Table(path, {name: [_cell(value) for value in column] for name, column in rows.items()})


def _cell(value: object) -> str | None:
    """Return a cell as text. Lists and other values that are no single one are as good as empty."""
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    return None if text.lower() in _EMPTY else text


def _text(path: str, data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 at byte {error.start}; save the table as UTF-8") from None


def _delimited(path: str, text: str, delimiters: str) -> dict[str, list[object]]:
    first, _, rest = text.partition("\n")
    if separator := re.fullmatch(r"sep=([,;\t|])\s*", first.strip('"\r')):  # Excel writes that in front
        text, delimiters = rest, separator[1]
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, delimiters))
        lines = [line for line in rows if line]
    except csv.Error as error:
        raise InputError(f"{path}: no table: {error}") from None
    if not lines:
        raise InputError(f"{path}: is empty")
    header = [name.strip() or f"column {number}" for number, name in enumerate(lines[0], 1)]
    if len(set(header)) < len(header):
        header = [f"{name} {n}" if header.count(name) > 1 else name for n, name in enumerate(header, 1)]
    for number, line in enumerate(lines, 1):
        if len(line) != len(header):
            raise InputError(
                f"{path}: row {number} does not have {len(header)} cells as the first row, but {len(line)}; correct it"
            )
    return {name: [line[column] for line in lines[1:]] for column, name in enumerate(header)}


def _delimiter(text: str, delimiters: str) -> str:
    """Return the delimiter that divides the first row into most cells, and most of the next rows into as many."""
    start = "".join(text.splitlines(keepends=True)[:100])

    def cells(delimiter: str) -> int:
        counts = [len(row) for row in csv.reader(io.StringIO(start, newline=""), delimiter=delimiter) if row]
        return counts[0] if counts and 2 * counts.count(counts[0]) > len(counts) else 0

    return max(delimiters, key=cells)


def _json_lines(path: str, text: str) -> dict[str, list[object]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # other breaks of lines may stand in a text
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise InputError(f'{path}: line {number} is no JSON object; expected {{"file_name": …, "label": …}}')
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(path: str, data: bytes) -> dict[str, list[object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: no Parquet table: {printable(str(error).splitlines()[0])}") from None
    return {name: _values_of(table[name]) for name in table.column_names}


def _values_of(column: "ChunkedArray") -> list[object]:
    """Return the values of a column if they are words or numbers; of other types (pictures, dates) None for each."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    readable = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    return list(column.to_pylist()) if any(is_one(kind) for is_one in readable) else [None] * len(column)
