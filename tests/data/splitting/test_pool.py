"""Which pictures take part, and in which order."""

import pytest

from smallvision.core.errors import InputError, ParameterError
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.sources.files import open_files
from smallvision.data.splitting.pool import Pool, order_by_bytes, sort_rows
from tests.conftest import write_zip

ROWS = [
    Row("cat/1.jpg", "cat"),
    Row("cat/2.jpg", "cat", "test"),
    Row("dog/1.jpg", "dog", "train"),
    Row("dog/2.jpg", "dog", None, None, "a mask"),
    Row("fox/1.jpg", "fox", "validation"),
    Row("new/1.jpg", None, "test"),
    Row("only/masks.jpg", "only", None, None, "a mask"),
]


def read(*rows):
    return Reading("folders", books=False, rows=rows, notes=[], grouping=None)


def test_every_picture_is_sorted_once():
    pool = sort_rows(read(*ROWS), None)
    assert {label: [row.path for row in rows] for label, rows in pool.labelled.items()} == {
        "cat": ["cat/1.jpg", "cat/2.jpg"],
        "dog": ["dog/1.jpg"],
        "fox": ["fox/1.jpg"],
    }
    assert [row.path for row in pool.unlabelled] == ["new/1.jpg"]
    assert [row.path for row in pool.left_out] == ["dog/2.jpg", "only/masks.jpg"]
    assert pool.given == ["validation", "test"]


def test_pictures_of_other_classes_are_left_out_with_their_subsets():
    pool = sort_rows(read(*ROWS), ["dog", "cat"])
    assert list(pool.labelled) == ["cat", "dog"]
    assert {row.path: row.left_out for row in pool.left_out} == {
        "dog/2.jpg": "a mask",
        "fox/1.jpg": "not in `classes`",
        "only/masks.jpg": "a mask",
    }
    assert pool.given == ["test"]


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ParameterError) as caught:
        sort_rows(read(*ROWS), ["cat", "dgo"])
    assert str(caught.value) == "params.yaml: classes: there is no 'dgo'; did you mean 'dog'?"
    with pytest.raises(ParameterError, match="there is no 'only'; known: cat, dog, fox"):
        sort_rows(read(*ROWS), ["cat", "only"])


def test_one_class_is_none():
    with pytest.raises(InputError, match="expected pictures of at least two classes, found cat"):
        sort_rows(read(*ROWS[:2]), None)


@pytest.mark.parametrize("subsets", [["test"], ["validation", "test"]])
def test_pictures_to_train_on_are_missed(subsets):
    rows = [Row(f"{subset}/{label}.jpg", label, subset) for subset in subsets for label in ("cat", "dog")]
    with pytest.raises(InputError, match=rf"are for {' and '.join(subsets)}, so that .* `split\.subsets: new`"):
        sort_rows(read(*rows, Row("train/0.jpg", None, "train")), None)


def ordered(folder, contents, seed):
    """Pictures of one class with these contents, in order."""
    archive = write_zip(folder / "archive.zip", contents)
    with open_files(archive) as files:
        rows = [Row(path, "cat") for path in files.pictures]
        pool = order_by_bytes(files, Pool({"cat": rows, "dog": []}, [], [], []), seed)
    return [contents[row.path] for row in pool.labelled["cat"]]


def test_the_order_is_that_of_the_bytes_and_the_seed(tmp_path):
    contents = {f"cat/{n}.jpg": bytes([n]) for n in range(30)}
    renamed = {f"cat/{(7 * n) % 30}.jpg": data for n, data in enumerate(contents.values())}
    first = ordered(tmp_path, contents, 0)
    assert sorted(first) == list(contents.values()) != first
    assert ordered(tmp_path, renamed, 0) == first
    assert ordered(tmp_path, contents, 1) != first
    fewer = dict(list(contents.items())[:20])
    assert ordered(tmp_path, fewer, 0) == [data for data in first if data in fewer.values()]
