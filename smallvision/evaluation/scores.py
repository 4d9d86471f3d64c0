"""What predictions are worth, in single numbers. Arrays in, numbers out."""

import numpy as np
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from smallvision.evaluation.intervals import wilson

ClassRow = tuple[str, int, float, float | None, float]
BINS = 15  # of confidence, as Guo et al. have them


def score(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict[str, float | int | None]:
    """Score predictions of every test picture.

    Args:
        labels: integer array `(n,)`, indices into `classes`; every class occurs.
        probabilities: float array `(n, len(classes))`, rows that sum to 1.
        classes: the names, at least two.

    Returns:
        `n`; `acc` and its 95% Wilson interval `acc_low`, `acc_high`; `balanced_acc`, the mean recall of
        the classes; `loss`, the cross-entropy in nats; `brier`, half the squared distance between the
        probabilities and the truth, in [0, 1], which is the usual score where there are two classes;
        `ece`, the expected calibration error; `auc`, for more than two classes the mean of one class
        against the rest. Of two classes `recall_…` and `precision_…` too (null for a class that was never
        predicted); more of them would fill a terminal, and stand in `class_rows`.

    Sources: G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78
    (1950), halved; `wilson` and `calibration_error`. All but the last as implemented by SciPy and scikit-learn.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    low, high = wilson(right, len(labels))
    names = np.arange(len(classes))
    auc = (
        roc_auc_score(labels, probabilities[:, 1])
        if len(classes) == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", labels=names)
    )
    scores: dict[str, float | int | None] = {
        "n": len(labels),
        "acc": right / len(labels),
        "acc_low": low,
        "acc_high": high,
        "balanced_acc": float(balanced_accuracy_score(labels, predicted)),
        "loss": float(log_loss(labels, probabilities, labels=names)),
        "brier": float(brier_score_loss(labels, probabilities, labels=names, scale_by_half=True)),
        "ece": calibration_error(labels, probabilities),
        "auc": float(auc),
    }
    if len(classes) == 2:
        for name, _, recall, precision, _ in class_rows(labels, probabilities, classes):
            scores |= {f"recall_{name}": recall, f"precision_{name}": precision}
    return scores


def class_rows(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[ClassRow]:
    """Return (class, pictures, recall, precision, F1) of each class; precision is None if it was never predicted."""
    precision, recall, f1, count = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(classes)), zero_division=np.nan
    )
    return [
        (name, int(n), float(r), None if np.isnan(p) else float(p), float(f))
        for name, n, r, p, f in zip(classes, count, recall, precision, f1, strict=True)
    ]


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """Return which of the `BINS` equal intervals of [0, 1] each confidence lies in; a bin includes its upper edge."""
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return bins


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the expected calibration error: how far accuracy is from confidence, the mean over bins of confidence.

    A bin counts as often as it has pictures. Confidence is the probability of the predicted class.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2 to 5.
    """
    confidence = probabilities.max(axis=1)
    surplus = confidence - (probabilities.argmax(axis=1) == labels)
    per_bin = np.bincount(confidence_bins(confidence), surplus, BINS)
    return float(np.abs(per_bin).sum() / len(labels))
