"""Pictures need not fit into memory: the results are the same, however many are kept."""

import hashlib

import numpy as np
import pytest

from smallvision.core.errors import InputError
from smallvision.data.pictures import loading
from smallvision.data.pictures.batches import evaluation_batches, fetcher
from smallvision.data.pictures.decoding import to_input
from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import Entry
from tests.conftest import jpeg

COUNT, SIZE = 12, 46
BYTES = SIZE * SIZE * 3


@pytest.fixture
def entries(tmp_path):
    """Write twelve pictures to `tmp_path`, and return their rows of the manifest."""
    rows = []
    for number in range(COUNT):
        entry = Entry("train", "cat", f"cat.{number}.jpg", "", hashlib.sha256(jpeg(number)).hexdigest(), "JPEG")
        path = tmp_path / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
        rows.append(entry)
    return rows


@pytest.mark.parametrize("kept", [0, 5, COUNT])
def test_whatever_is_kept_the_batches_are_the_same(tmp_path, entries, kept):
    pictures = Pictures(tmp_path, entries, SIZE, kept * BYTES)
    array = np.stack([to_input(jpeg(number), SIZE) for number in range(COUNT)])
    assert pictures.budget_used == kept * BYTES
    shuffled = np.random.default_rng(1).permutation(COUNT)
    for _ in range(2):  # the second time, some come from memory
        batch, labels = fetcher(pictures, np.arange(COUNT))(shuffled)
        expected, _ = fetcher(array, np.arange(COUNT))(shuffled)
        assert np.array_equal(batch, expected)
        assert np.array_equal(labels, shuffled)
        (batch, _), *_ = evaluation_batches(pictures, np.zeros(COUNT)).as_numpy_iterator()
        assert np.array_equal(batch, array.astype(np.float32) / 255)


@pytest.mark.parametrize(("kept", "decoded"), [(COUNT, COUNT), (5, 5 + 3 * (COUNT - 5)), (0, 3 * COUNT)])
def test_what_fits_is_decoded_once(tmp_path, entries, kept, decoded, monkeypatch):
    sizes = []
    monkeypatch.setattr(loading, "to_input", lambda data, size: sizes.append(size) or to_input(data, size))
    pictures = Pictures(tmp_path, entries, SIZE, kept * BYTES)
    assert sizes == []  # checked, but not decoded before it is asked for
    for _ in range(3):
        pictures[np.arange(COUNT)]
    assert len(sizes) == decoded


def test_a_picture_that_is_not_the_manifests_is_found_at_once(tmp_path, entries):
    (tmp_path / entries[7].path).write_bytes(jpeg(99))
    with pytest.raises(InputError, match=r"cat\.7\.jpg: changed since `split` wrote it; `dvc repro -f split`"):
        Pictures(tmp_path, entries, SIZE, budget=0)
    (tmp_path / entries[7].path).unlink()
    with pytest.raises(InputError, match=r"cat\.7\.jpg: missing; `dvc repro -f split`"):
        Pictures(tmp_path, entries, SIZE, budget=0)


def test_a_picture_that_vanishes_later_is_named_too(tmp_path, entries):
    pictures = Pictures(tmp_path, entries, SIZE, budget=0)
    (tmp_path / entries[7].path).unlink()
    with pytest.raises(InputError, match=r"cat\.7\.jpg: missing"), own_errors(pictures):
        list(evaluation_batches(pictures, np.zeros(COUNT)))


def test_other_errors_stay_what_they_are(tmp_path, entries):
    with pytest.raises(ZeroDivisionError), own_errors(Pictures(tmp_path, entries, SIZE)):
        1 / 0  # noqa: B018


def test_the_content_hash_tells_all_that_the_pixels_depend_on(tmp_path, entries, monkeypatch):
    hashes = {Pictures(tmp_path, entries, SIZE, budget).content_hash for budget in (0, 5 * BYTES, 2**30)}
    assert len(hashes) == 1
    hashes.add(Pictures(tmp_path, entries, SIZE + 1).content_hash)
    hashes.add(Pictures(tmp_path, entries[::-1], SIZE).content_hash)
    hashes.add(Pictures(tmp_path, entries[1:], SIZE).content_hash)
    monkeypatch.setattr("PIL.__version__", "0")
    hashes.add(Pictures(tmp_path, entries, SIZE).content_hash)
    assert len(hashes) == 5
