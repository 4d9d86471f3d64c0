"""Numbers against values worked out by hand or taken from the literature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.evaluation.answers import Answers
from smallvision.evaluation.scores import (
    BINS,
    calibration_error,
    class_rows,
    confidence_bins,
    rank_mistakes,
    score,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
OF_SECOND = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95])
PROBABILITIES = np.stack([1 - OF_SECOND, OF_SECOND], axis=1)


def test_two_classes():
    scores = score(Answers(LABELS, PROBABILITIES, ["cat", "dog"]))
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
    scores = score(Answers(labels, np.stack([1 - predicted, predicted], axis=1), ["a", "b"]))
    assert scores["acc"] == pytest.approx(81 / 263)
    assert scores["acc_low"] == pytest.approx(0.2553, abs=5e-5)
    assert scores["acc_high"] == pytest.approx(0.3662, abs=5e-5)


def test_three_classes_one_never_predicted():
    labels = np.array([0, 1, 2, 2])
    rows = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.2, 0.3], [0.1, 0.5, 0.4]])
    answers = Answers(labels, rows, ["a", "b", "c"])
    scores = score(answers)
    assert scores["acc"] == 0.5
    assert scores["balanced_acc"] == pytest.approx((1 + 1 + 0) / 3)
    assert not any(key.startswith(("recall", "precision")) for key in scores)
    assert class_rows(answers) == [
        ("a", 1, 1.0, 0.5, pytest.approx(2 / 3)),
        ("b", 1, 1.0, 0.5, pytest.approx(2 / 3)),
        ("c", 2, 0.0, None, 0.0),
    ]
    assert scores["auc"] == pytest.approx((1 + 1 + 1) / 3)


def test_rows_of_a_float32_softmax_are_taken_without_a_warning():
    rng = np.random.default_rng(1)
    outputs = rng.dirichlet(np.ones(5), 300).astype(np.float32)
    rows = outputs.astype(np.float64)
    rows /= rows.sum(axis=1, keepdims=True)
    assert score(Answers(rng.permutation(np.arange(300) % 5), rows, list("abcde")))["n"] == 300


def test_certainty_and_error_together_stay_finite():
    assert np.isfinite(score(Answers(LABELS, np.eye(2)[1 - LABELS], ["cat", "dog"]))["loss"])


def test_brier_score_of_two_classes_is_the_usual_one():
    assert score(Answers(LABELS, PROBABILITIES, ["cat", "dog"]))["brier"] == pytest.approx(
        ((OF_SECOND - LABELS) ** 2).mean()
    )


def test_brier_score_of_more_classes_is_half_the_squared_distance():
    labels = np.array([0, 1, 2])
    rows = np.array([[1.0, 0, 0], [0, 0, 1], [0.2, 0.3, 0.5]])
    distances = [0, 2, 0.2**2 + 0.3**2 + 0.5**2]
    assert score(Answers(labels, rows, ["a", "b", "c"]))["brier"] == pytest.approx(sum(distances) / 3 / 2)


def test_calibration_error_by_hand():
    """Two bins: 3 of 4 right at 0.9, 1 of 2 right at 0.6."""
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    labels = np.array([1, 1, 1, 0, 1, 0])
    rows = np.stack([1 - confidence, confidence], axis=1)
    assert calibration_error(Answers(labels, rows, ["a", "b"])) == pytest.approx(
        (4 * (0.9 - 0.75) + 2 * (0.6 - 0.5)) / 6
    )


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_calibration_error_is_that_of_scikit_learns_curve(classes):
    from sklearn.calibration import calibration_curve  # imported here because it takes long

    rng = np.random.default_rng(classes)
    rows = rng.dirichlet(np.full(classes, 0.3), 500)
    labels = rng.integers(0, classes, 500)
    confidence, right = rows.max(axis=1), rows.argmax(axis=1) == labels
    accuracies, confidences = calibration_curve(right, confidence, n_bins=BINS)
    counts = np.bincount(confidence_bins(confidence), minlength=BINS)
    counts = counts[counts > 0]
    answers = Answers(labels, rows, [str(index) for index in range(classes)])
    assert calibration_error(answers) == pytest.approx(np.abs(accuracies - confidences) @ counts / 500)


@given(st.floats(0, 1))
def test_a_confidence_lies_within_its_bin(confidence):
    index = confidence_bins(np.array([confidence]))[0]
    assert index / BINS <= confidence + 1e-12
    assert confidence <= (index + 1) / BINS + 1e-12
    assert 0 <= index < BINS


def test_the_least_probable_label_is_first_and_what_fits_its_label_is_no_mistake():
    predicted = np.array([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.2, 0.8], [0.55, 0.45]])
    answers = Answers(np.array([0, 0, 0, 1, 1]), predicted, ["a", "b"])
    assert rank_mistakes(answers).tolist() == [2, 1, 4]
    assert rank_mistakes(Answers(np.array([0, 1]), predicted[:2], ["a", "b"])).tolist() == []
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.45, 0.55]])
    assert rank_mistakes(Answers(np.array([1, 1, 0, 0, 0]), sure, ["a", "b"])).tolist() == [0, 3, 2, 4]
