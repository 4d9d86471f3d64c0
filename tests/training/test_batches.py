"""Training pictures change their size with the epochs; validation pictures never change."""

import numpy as np
import pytest
import tensorflow as tf

from smallvision.core.params import Augment
from smallvision.data.pictures.batches import evaluation_batches
from smallvision.training import augment
from smallvision.training.batches import training_batches
from tests.conftest import make_picture

SIZE = 48
PICTURES = np.stack([np.asarray(make_picture(seed, SIZE, SIZE)) for seed in range(12)])
FLOATS = (PICTURES / 255).astype(np.float32)
BOOK = Augment(rotation=40, shift=0.2, shear=0.2, zoom=0.2, flip=True)
EVERYTHING = Augment(
    rotation=30, shift=0.1, shear=0.1, zoom=0.1, flip=True, crop=0.5, fill="reflect", brightness=0.2, contrast=0.3,
    saturation=0.4, erase=0.5, mixup=0.4,
)  # fmt: skip


def test_the_size_is_that_of_training_only():
    batches = training_batches(PICTURES, np.zeros(12), 5, 1, Augment(crop=0.5, brightness=0.2, erase=1, size=46))
    shapes = [pictures.shape for pictures, _ in batches.take(3).as_numpy_iterator()]
    assert shapes == [(count, 46, 46, 3) for count in (5, 5, 2)]


@pytest.mark.parametrize(
    ("epochs", "last", "sides"),
    [
        (8, 80, [46, 46, 62, 62, 78, 78, 80, 80]),
        (2, 80, [62, 80]),
        (1, 80, [80]),
        (3, 48, [46, 48, 48]),
        (2, 46, [46, 46]),
    ],
)
def test_the_side_grows_in_steps_of_16_pixels(epochs, last, sides):
    assert [int(augment.side_in(tf.constant(epoch, tf.int64), epochs, 46, last)) for epoch in range(epochs)] == sides


@pytest.mark.slow
def test_pictures_grow_during_a_training():
    """They grow in steps of 16 pixels, however long the training is and wherever it goes on after an interruption."""
    options = Augment(crop=0.5, contrast=0.2, erase=1, mixup=0.2, size=80, first_size=46)

    def sides(epochs, first_epoch=0):
        batches = training_batches(PICTURES, np.zeros(12), 5, 1, options, first_epoch, epochs).as_numpy_iterator()
        return [next(batches)[0].shape[1] for _ in range(3 * (epochs - first_epoch))][::3]

    assert sides(8) == [46, 46, 62, 62, 78, 78, 80, 80]
    assert sides(8, first_epoch=3) == [62, 78, 78, 80, 80]
    assert sides(2) == [62, 80]
    assert sides(1) == [80]
    options = options.model_copy(update={"size": None})
    assert sides(3) == [46, SIZE, SIZE]
    options = options.model_copy(update={"size": 46})
    assert sides(2) == [46, 46]
    options = options.model_copy(update={"size": 80})
    whole = next(training_batches(PICTURES, np.zeros(12), 5, 1, options).as_numpy_iterator())[0]
    assert whole.shape == (5, 80, 80, 3)
    (grown,) = (p for p, _ in training_batches(PICTURES, np.zeros(12), 5, 1, options, 6, 8).take(1).as_numpy_iterator())
    fixed = options.model_copy(update={"first_size": None})
    (plain,) = (p for p, _ in training_batches(PICTURES, np.zeros(12), 5, 1, fixed, 6).take(1).as_numpy_iterator())
    assert np.array_equal(grown, plain)


def test_validation_and_test_pictures_are_never_changed():
    (pictures, _), *_ = evaluation_batches(PICTURES, np.zeros(12)).as_numpy_iterator()
    assert np.array_equal(pictures, PICTURES.astype(np.float32) / 255)
