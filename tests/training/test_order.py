"""Each epoch of a training takes every picture once, in an order that only seed and epoch decide."""

import itertools

import numpy as np
import pytest

from smallvision.training.batches import training_batches

COUNT, SIZE = 50, 46
# Each picture holds its own number, so that batches tell which pictures they are made of.
PICTURES = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, SIZE, SIZE, 3))
LABELS = np.arange(COUNT) % 2


def epochs(count, batch_size=20, **options):
    steps = -(-COUNT // batch_size)
    batches = training_batches(PICTURES, LABELS, batch_size, **{"seed": 42} | options).as_numpy_iterator()
    return [list(itertools.islice(batches, steps)) for _ in range(count)]


def order(epoch):
    return [int(number) for pictures, _ in epoch for number in (pictures[:, 0, 0, 0] * 255).round()]


def test_a_batch_is_what_the_design_says():
    pictures, labels = epochs(1)[0][0]
    assert (pictures.shape, pictures.dtype) == ((20, SIZE, SIZE, 3), np.float32)
    assert labels.shape == (20,)
    white, _ = next(training_batches(np.full_like(PICTURES, 255), LABELS, 4, seed=1).as_numpy_iterator())
    assert white.min() == white.max() == 1


def test_every_picture_once_an_epoch_with_its_label():
    for epoch in epochs(3):
        assert [len(labels) for _, labels in epoch] == [20, 20, 10]
        assert sorted(order(epoch)) == list(range(COUNT))
        assert [int(label) for _, labels in epoch for label in labels] == [number % 2 for number in order(epoch)]


def test_each_epoch_has_an_order_of_its_own_by_seed():
    first, second = (order(epoch) for epoch in epochs(2))
    assert first != second
    assert [order(epoch) for epoch in epochs(2)] == [first, second]
    assert order(epochs(1, seed=43)[0]) != first


@pytest.mark.parametrize("batch_size", [7, 20, 64])
def test_the_order_depends_on_nothing_but_seed_and_epoch(batch_size):
    assert order(epochs(3)[2]) == order(epochs(1, batch_size, first_epoch=2)[0])
