"""Tables as people write them: delimiters, encodings, quotes, gaps; and bytes that are no table."""

import csv
import io
import json
from string import printable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.layouts.tables import parse_table

ROWS = {"file": ["a.jpg", "b 1.jpg", "ü.jpg"], "label": ["cat", None, "a, b; c"]}
CELLS = (
    st.text(alphabet=printable + "äß猫", min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda text: text and text.lower() not in {"nan", "none", "null", "na", "n/a", "<na>"})
)
NAMES = st.text(alphabet="abcdefgh_", min_size=1, max_size=6)


def delimited(columns: dict[str, list[str | None]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def parquet(columns: dict[str, list[object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_and_encoding_are_found(delimiter, encoding):
    assert parse_table("labels.csv", delimited(ROWS, delimiter).encode(encoding)).columns == ROWS


@given(st.dictionaries(NAMES, st.tuples(CELLS, CELLS, CELLS), min_size=2, max_size=4))
def test_a_table_is_read_back_from_every_kind(table):
    columns = {name: list(cells) for name, cells in table.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    jsonl = "".join(json.dumps(row) + "\n" for row in rows)
    assert parse_table("a.tsv", delimited(columns, "\t").encode()).columns == columns
    assert parse_table("a.jsonl", jsonl.encode()).columns == columns
    assert parse_table("a.parquet", parquet(columns)).columns == columns


def test_values_that_are_no_text():
    table = parse_table("a.parquet", parquet({"id": [1, 2], "x": [0.5, None], "image": [{"bytes": b""}, None]}))
    assert table.columns == {"id": ["1", "2"], "x": ["0.5", None], "image": [None, None]}
    far = parquet({"id": ["1"], "when": pa.array([2**62], pa.timestamp("us"))})  # no date of Python's
    assert parse_table("a.parquet", far).columns == {"id": ["1"], "when": [None]}
    assert parse_table("a.csv", b"sep=;\r\nid;x\r\n1;2\r\n").columns == {"id": ["1"], "x": ["2"]}
    lines = b'{"file_name": "1.jpg", "label": 0}\n\n{"file_name": "2.jpg", "objects": [1, 2]}\n'
    assert parse_table("a.jsonl", lines).columns == {
        "file_name": ["1.jpg", "2.jpg"],
        "label": ["0", None],
        "objects": [None, None],
    }
    assert parse_table("a.csv", b"x,x,\n1,2,3\n").columns == {"x 1": ["1"], "x 2": ["2"], "column 3": ["3"]}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"file,label\n1.jpg,cat\n2.jpg\n", "row 3 does not have 2 cells as the first row, but 1; correct it"),
        ("a.csv", "file,label\n1.jpg,Möwe\n".encode("cp1252"), "not UTF-8 at byte 18; save the table as UTF-8"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2 is no JSON object"),
        ("a.jsonl", b"{" * 100_000, "line 1 is no JSON object"),
        ("a.parquet", b"PAR1", "no Parquet table"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name, data, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_table(name, data)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.txt"]), st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error_of_ours(name, data):
    try:
        table = parse_table(name, data)
    except InputError as error:
        assert str(error).startswith(f"{name}: ")
    else:
        assert len({len(column) for column in table.columns.values()}) == 1 or not table.columns
