"""Evaluation takes every example once, in order."""

import numpy as np

from smallvision.data.pictures.batches import evaluation_batches, fetcher


def numbered(count: int) -> np.ndarray:
    """Pictures that each hold their own number, so that a batch tells which pictures it is made of."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 46, 46, 3))


def test_evaluation_takes_every_picture_once_in_order():
    pictures = np.concatenate([numbered(50)] * 3)[:131]
    batches = list(evaluation_batches(pictures, np.arange(131)).as_numpy_iterator())
    assert [int(label) for _, labels in batches for label in labels] == list(range(131))
    assert np.array_equal(np.concatenate([batch for batch, _ in batches]), pictures.astype(np.float32) / 255)


def test_features_stay_as_they_are():
    features = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    ((batch, labels),) = evaluation_batches(features, np.eye(5)).as_numpy_iterator()
    assert np.array_equal(batch, features)
    assert np.array_equal(labels, np.eye(5))


def test_examples_are_fetched_by_index_in_any_order():
    batch, labels = fetcher(numbered(50), np.arange(50))(np.array([7, 3, 7]))
    assert (batch[:, 0, 0, 0] * 255).numpy().round().tolist() == labels.numpy().tolist() == [7, 3, 7]
