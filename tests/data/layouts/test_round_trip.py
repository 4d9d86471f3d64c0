"""Any table of pictures, labels and subsets, written in any of the layouts, is read back as that table."""

import csv
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from smallvision.data.layouts.reading import read_layout
from tests.data.layouts.helpers import FakeFiles

VALUES = {
    "train": ["train", "training", "Train", "TRAIN"],
    "validation": ["val", "valid", "validation", "dev", "Validation", "VAL"],
    "test": ["test", "testing", "Test", "TEST"],
}
AFFIXED = {
    "train": ["train_images", "seg_train", "train_set", "Training Data"],
    "validation": ["val_images", "seg_val", "valid-set", "Validation Data"],
    "test": ["test_images", "seg_test", "test-set", "Testing Data"],
}
GIVEN = [(None,), ("train", "test"), ("train", "validation"), ("train", "validation", "test")]
WRAPPING = ["", "photos/", "My Pictures/", "data/v1/", "archive (2)/images/", "pets/"]
NAMES = ["{}.jpg", "IMG_{:04}.JPG", "{:05}.png", "DSC_{}.jpeg", "photo ({}).jpg", "a{:03}.webp"]
FILE_COLUMNS = ["file_name", "filename", "file", "image", "image_id", "Image", "path", "id", "img"]
LABEL_COLUMNS = ["label", "Label", "class", "target", "category", "labels", "class_name"]
SUBSET_COLUMNS = ["split", "subset", "set", "Split", "partition"]
# What means something else than a class.
RESERVED = {*"train training val valid validation dev test tests testing holdout eval trainval set".split(),
            *"images image img imgs pictures data photos nan na null raw".split()}  # fmt: skip
Table = dict[str, tuple[str | None, str | None]]
Layout = tuple[list[tuple[str, str | None, int]], dict[str, str]]

word = st.text("abdeghilmnorstuäéñ猫", min_size=3, max_size=9).filter(lambda text: text not in RESERVED)
folder_name = st.one_of(word, st.tuples(word, word).map(" ".join), st.tuples(word, word).map("-".join))
any_label = st.text("abcxyzÄéß猫0123,;'\"&()-_ ", min_size=1, max_size=12).map(str.strip).filter(
    lambda text: any(c.isalpha() for c in text) and text.lower() not in RESERVED
)  # fmt: skip


def class_names(one: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(one, min_size=2, max_size=4, unique_by=lambda text: unicodedata.normalize("NFC", text).casefold())


@st.composite
def layouts(draw: st.DrawFn, names: st.SearchStrategy[str], *aliases: Mapping[str, list[str]]) -> Layout:
    """Return a label, a subset and a number for each picture, and what each subset is called."""
    classes, subsets = draw(class_names(names)), draw(st.sampled_from(GIVEN))
    counts = [draw(st.integers(2, 4)) for _ in classes]
    rows = [(label, one) for label, count in zip(classes, counts, strict=True) for one in subsets for _ in range(count)]
    called = {one: draw(st.sampled_from([name for names in aliases for name in names[one]])) for one in subsets if one}
    return [(label, subset, number) for number, (label, subset) in enumerate(rows)], called


def read_back(files: Mapping[str, bytes]) -> Table:
    rows = read_layout(FakeFiles(files)).rows
    assert [row.path for row in rows if row.left_out] == []
    return {row.path: (row.label, row.subset if row.label is not None else None) for row in rows}


@given(layouts(folder_name, VALUES, AFFIXED), *map(st.sampled_from, (WRAPPING, NAMES, ["", "images/"], [True, False])))
def test_folders(layout, wrapping, name, below, inside):
    rows, aliases = layout
    table: Table = {}
    for label, subset, number in rows:
        level = f"{aliases[subset]}/" if subset else ""
        folders = f"{label}/{level}" if inside else f"{level}{label}/"
        table[f"{wrapping}{folders}{below}{name.format(number)}"] = (label, subset)
    assert read_back(dict.fromkeys(table, b"")) == table


@given(
    layouts(word, VALUES, AFFIXED), st.sampled_from(WRAPPING), st.sampled_from(["{}.{}", "{}_{}", "{}-{}", "{} ({})"])
)
def test_names(layout, wrapping, form):
    rows, aliases = layout
    table: Table = {}
    for label, subset, number in rows:
        level = f"{aliases[subset]}/" if subset else ""
        table[f"{wrapping}{level}{form.format(label, number)}.jpg"] = (label, subset)
    assert read_back(dict.fromkeys(table, b"")) == table


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]], ending: str) -> bytes:
    """Return the bytes of a table; `ending` is `jsonl`, or the separator of a text."""
    if ending == "jsonl":
        return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows).encode()
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=ending).writerows([header, *rows])
    return text.getvalue().encode()


@st.composite
def forms(draw: st.DrawFn) -> tuple[str, str, str, str, bool, bool]:
    """Return the names of the columns, the form of the file, and whether paths have their folder and their ending."""
    columns = [draw(st.sampled_from(names)) for names in (FILE_COLUMNS, LABEL_COLUMNS, SUBSET_COLUMNS)]
    return *columns, draw(st.sampled_from([",", ";", "\t", "jsonl"])), draw(st.booleans()), draw(st.booleans())


@given(
    layouts(any_label, VALUES),
    forms(),
    st.sampled_from(WRAPPING),
    st.sampled_from(NAMES),
    st.integers(0, 3),
    st.randoms(),
)
def test_tables(layout, form, wrapping, name, unlabelled, chance):
    (rows, aliases), (*columns, ending, with_folder, with_ending) = layout, form
    table: Table = {}
    written = []
    for label, subset, number in rows:
        path = f"{wrapping}pool/{name.format(number)}"
        table[path] = (label, subset)
        told = path if with_folder else path.rpartition("/")[2]
        told = told if with_ending else told.rpartition(".")[0]
        written.append([told, label, *([aliases[subset]] if subset else [])])
    table |= {f"{wrapping}pool/{name.format(1000 + number)}": (None, None) for number in range(unlabelled)}
    chance.shuffle(written)
    order = chance.sample(range(len(written[0])), len(written[0]))
    text = write_table([columns[n] for n in order], [[row[n] for n in order] for row in written], ending)
    listing = {"jsonl": "jsonl", "\t": "tsv"}.get(ending, "csv")
    assert read_back({**dict.fromkeys(table, b""), f"labels.{listing}": text}) == table
