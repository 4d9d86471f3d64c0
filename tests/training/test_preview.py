"""The sheet of augmented pictures shows what training sees."""

import numpy as np

from smallvision.core.params import Augment
from smallvision.training import preview
from smallvision.training.batches import training_batches


def test_the_views_of_the_sheet_are_what_training_sees():
    options = Augment(rotation=40, crop=0.5, flip=True, brightness=0.2)
    pictures = np.random.default_rng(3).integers(0, 256, (6, 46, 46, 3), np.uint8)
    chosen = np.array([4, 1])
    views = preview.augmented_views(pictures[chosen], chosen, len(pictures), options, 7, epochs=2)
    assert np.array_equal(views[0], pictures[chosen].astype(np.float32) / 255)
    # The labels tell which picture is which.
    batches = training_batches(pictures, np.arange(6), 6, 7, options).take(2)
    for epoch, (seen, labels) in enumerate(batches.as_numpy_iterator(), 1):
        rows = [labels.tolist().index(index) for index in chosen]
        assert np.allclose(views[epoch], seen[rows], atol=1e-6)
    views = preview.augmented_views(pictures[:2], np.arange(2), 6, Augment(flip=True, size=50), 1, epochs=3)
    assert views.shape == (4, 2, 50, 50, 3)
