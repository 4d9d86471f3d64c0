"""The readers, examined on what people have."""

import re
import unicodedata
from collections.abc import Iterator, Mapping

import pytest

from smallvision.core.errors import InputError, UserError
from smallvision.data.layouts.reading import read_layout
from smallvision.data.layouts.rows import Reading, Row
from tests.data.layouts.cases import CASES
from tests.data.layouts.helpers import Case, FakeFiles, Meaning

SURE = [case for case in CASES if not case.unsure]
READ = [case for case in SURE if not case.refused]
SUBSETS = {None, "train", "validation", "test"}
SHOWN = 5  # differences


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def read(case: Case, *, keep_subsets: bool = True, **other: str) -> Reading:
    options = {"labels": case.labels, "group": case.group, **other}
    return read_layout(case.files, **options, keep_subsets=keep_subsets)


def read_unless_refused(case: Case) -> Reading | None:
    """Return the reading; None if the source is refused, where that is right too."""
    try:
        return read(case)
    except InputError:
        if not case.may_refuse:
            raise
        return None


def differs(row: Row, meaning: Meaning) -> str:
    """Return how a row differs from its meaning; nothing if it does not."""
    got = "-" if row.left_out else "?" if row.label is None else unicodedata.normalize("NFC", row.label)
    wanted = {"~": ("?", "-"), "*": (got,)}
    if got not in {label for one in meaning.labels for label in wanted.get(one, (one,))}:
        return f"{row.path}: {got}, not {' or '.join(meaning.labels)}"
    subsets = {"": (None, "train"), "*": SUBSETS}.get(meaning.subset, (meaning.subset,))
    if got not in ("-", "?") and "*" not in meaning.labels and row.subset not in subsets:
        return f"{row.path}: in {row.subset}, not in {meaning.subset}"
    return ""


def differences(case: Case, reading: Reading) -> list[str]:
    meanings = case.meanings
    return [text for row in reading.rows if (text := differs(row, meanings[row.path]))]


def partition(groups: Mapping[str, str | None]) -> set[frozenset[str]]:
    """Return the sets of paths that belong together."""
    names = {name for name in groups.values() if name is not None}
    return {frozenset(path for path, name in groups.items() if name == wanted) for wanted in names}


def expected_groups(case: Case) -> set[frozenset[str]]:
    return partition({path: meaning.group for path, meaning in case.meanings.items()})


def groups_of(reading: Reading) -> set[frozenset[str]]:
    return partition({row.path: row.group for row in reading.rows if row.label is not None})


@each(READ)
def test_every_picture_has_its_label_and_its_subset_in_natural_order(case):
    reading = read_unless_refused(case)
    if reading is None:
        return
    found = differences(case, reading)
    assert not found, f"{len(found)} differences: " + "; ".join(found[:SHOWN])
    assert [row.path for row in reading.rows] == list(case.files.pictures)
    assert {row.subset for row in reading.rows} <= SUBSETS
    assert all(row.label is None or row.label.strip() for row in reading.rows)
    assert not any("\n" in note for note in reading.notes)


@each([case for case in SURE if case.refused])
def test_what_has_two_readings_or_none_is_refused_with_the_words_that_help(case):
    with pytest.raises(UserError) as caught:
        read(case)
    text = str(caught.value)
    assert [word for word in case.refused if word not in text] == [], text
    assert "\n" not in text


@each([case for case in READ if case.key])
def test_what_looks_grouped_is_offered_with_its_key(case):
    reading = read_unless_refused(case)
    if reading is None:
        return
    if case.key == "none":
        assert reading.grouping is None, reading.grouping.key
        return
    assert reading.grouping is not None
    assert case.key in ("pattern", reading.grouping.key)
    assert partition(reading.grouping.groups) == expected_groups(case)


@each([case for case in READ if case.group])
def test_groups_are_as_asked(case):
    assert groups_of(read(case)) == expected_groups(case)


@pytest.mark.slow
@each([case for case in READ if not case.group])
def test_the_key_that_is_offered_gives_the_groups_that_are_offered(case):
    reading = read_unless_refused(case)
    if reading is None:
        return
    assert {row.group for row in reading.rows} == {None}
    if reading.grouping:
        again = {row.path: row.group for row in read(case, group=reading.grouping.key).rows}
        paths = reading.grouping.groups
        assert partition({path: again[path] for path in paths}) == partition(paths)
        assert {path for path, group in again.items() if group is not None} >= set(paths)


@each([case for case in READ if case.notes or case.reader or case.books is not None])
def test_the_owner_is_told_what_was_read(case):
    reading = read_unless_refused(case)
    if reading is None:
        return
    assert case.reader in reading.reader
    assert case.books in (None, reading.books)
    for wanted in case.notes:
        assert any(re.search(wanted, note) for note in reading.notes), reading.notes


@pytest.mark.slow
@each(READ)
def test_new_subsets_leave_labels_as_they_are(case):
    given = read_unless_refused(case)
    if given is None:
        return
    new = read(case, keep_subsets=False)
    assert {row.subset for row in new.rows} == {None}
    assert [(row.path, row.label, row.left_out) for row in new.rows] == [
        (row.path, row.label, row.left_out) for row in given.rows
    ]


def test_parquet_is_read_as_csv_is(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    labels = {f"{number:02}.jpg": "cat" if number < 10 else "dog" for number in range(20)}
    parquet.write_table(
        arrow.table({"image": list(labels), "label": list(labels.values())}), tmp_path / "labels.parquet"
    )
    files = {**{f"images/{name}": b"" for name in labels}, "labels.parquet": (tmp_path / "labels.parquet").read_bytes()}
    reading = read_layout(FakeFiles(files))
    assert {row.path.removeprefix("images/"): row.label for row in reading.rows} == labels
    assert "labels.parquet" in reading.reader


@each([case for case in CASES if case.unsure])
def test_open_cases_end_in_a_reading_or_an_error(case):
    try:
        reading = read(case)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert [row.path for row in reading.rows] == list(case.files.pictures)


def test_the_cases_have_names_of_their_own_and_are_many():
    names = [case.name for case in CASES]
    assert [name for name in set(names) if names.count(name) > 1] == []
    assert len(names) > 200


def test_a_case_finds_wrong_labels_subsets_and_groups():
    case = Case("", {"{cat,dog}/{0..1}.jpg": "{1} @test #{1}", "0.jpg": "?", "1.jpg": "~"})
    right = [*(Row(f"{label}/{n}.jpg", label, "test", label) for label in ("cat", "dog") for n in range(2)),
             Row("0.jpg", None), Row("1.jpg", None, left_out="hidden")]  # fmt: skip

    def found(*rows: Row) -> Iterator[str]:
        return (text.split(":")[0] for text in differences(case, Reading("", False, rows, [], None)))

    assert list(found(*right)) == []
    wrong = [
        Row("cat/0.jpg", "dog", "test"),
        Row("dog/1.jpg", "dog", "train"),
        Row("0.jpg", "cat"),
        Row("1.jpg", "cat"),
    ]
    assert list(found(*wrong)) == ["cat/0.jpg", "dog/1.jpg", "0.jpg", "1.jpg"]
    assert expected_groups(case) == groups_of(Reading("", False, right, [], None))
    assert partition({"a": "x", "b": "x"}) != partition({"a": "x", "b": "y"})
