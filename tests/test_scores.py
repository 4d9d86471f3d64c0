"""Numbers against values worked out by hand or taken from the literature."""

import numpy as np
import pytest

from smallvision.scores import confusion_rows, score

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
OF_SECOND = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95])
PROBABILITIES = np.stack([1 - OF_SECOND, OF_SECOND], axis=1)


def test_two_classes():
    scores = score(LABELS, PROBABILITIES, ["cat", "dog"])
    assert scores["n"] == 10
    assert scores["acc"] == 0.8
    assert scores["recall_cat"] == 3 / 4
    assert scores["precision_cat"] == 3 / 4
    assert scores["recall_dog"] == pytest.approx(5 / 6)
    assert scores["auc"] == pytest.approx(22 / 24)  # of 24 pairs, 0.6 beats 0.4 and 0.55
    assert scores["loss"] == pytest.approx(-np.log(PROBABILITIES[np.arange(10), LABELS]).mean())


def test_wilsons_interval():
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 is 0.2553 to 0.3662."""
    labels = np.zeros(263, int)
    labels[0] = 1
    predicted = np.full(263, 0.9)
    predicted[: 81 + 1] = 0.1  # the first is wrong, 81 are right
    scores = score(labels, np.stack([1 - predicted, predicted], axis=1), ["a", "b"])
    assert scores["acc"] == pytest.approx(81 / 263)
    assert scores["acc_low"] == pytest.approx(0.2553, abs=5e-5)
    assert scores["acc_high"] == pytest.approx(0.3662, abs=5e-5)


def test_three_classes_one_never_predicted():
    labels = np.array([0, 1, 2, 2])
    rows = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.3], [0.1, 0.5, 0.4]])
    scores = score(labels, rows, ["a", "b", "c"])
    assert scores["acc"] == 0.5
    assert scores["recall_c"] == 0
    assert scores["precision_c"] is None
    assert scores["auc"] == pytest.approx((1 + 1 + 1) / 3)


def test_rows_of_a_float32_softmax_are_taken_without_a_warning():
    rng = np.random.default_rng(1)
    outputs = rng.dirichlet(np.ones(5), 300).astype(np.float32)
    rows = outputs.astype(np.float64)
    rows /= rows.sum(axis=1, keepdims=True)
    assert score(rng.permutation(np.arange(300) % 5), rows, list("abcde"))["n"] == 300


def test_certainty_and_error_together_stay_finite():
    assert np.isfinite(score(LABELS, np.eye(2)[1 - LABELS], ["cat", "dog"])["loss"])


def test_confusion_rows_are_actual_then_predicted():
    assert confusion_rows(LABELS[:4], PROBABILITIES[:4], ["cat", "dog"])[2:] == [("cat", "cat"), ("cat", "dog")]
