"""What a prediction is worth. Arrays in, numbers out."""

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score

CONFIDENCE = 0.95


def score(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict[str, float | int | None]:
    """Score predictions of every test picture.

    Args:
        labels: integer array `(n,)`, indices into `classes`; every class occurs.
        probabilities: float array `(n, len(classes))`, rows that sum to 1.
        classes: the names, at least two.

    Returns:
        `n`; `acc` and its 95% Wilson interval `acc_low`, `acc_high`; `loss`, the cross-entropy in
        nats; `auc`, for more than two classes the mean of one class against the rest; per class
        `recall_…` and `precision_…` (null for a class that was never predicted).

    Source: E. B. Wilson, "Probable Inference", JASA 22 (1927), as implemented by SciPy.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(CONFIDENCE, method="wilson")
    names = np.arange(len(classes))
    auc = (
        roc_auc_score(labels, probabilities[:, 1])
        if len(classes) == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", labels=names)
    )
    precision, recall, _, _ = precision_recall_fscore_support(labels, predicted, labels=names, zero_division=np.nan)
    scores: dict[str, float | int | None] = {
        "n": len(labels),
        "acc": right / len(labels),
        "acc_low": float(interval.low),
        "acc_high": float(interval.high),
        "loss": float(log_loss(labels, probabilities, labels=names)),
        "auc": float(auc),
    }
    for index, name in enumerate(classes):
        scores[f"recall_{name}"] = float(recall[index])
        scores[f"precision_{name}"] = None if np.isnan(precision[index]) else float(precision[index])
    return scores


def confusion_rows(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[tuple[str, str]]:
    """Return (actual, predicted) of each picture, as DVC's confusion template counts them."""
    return [(classes[a], classes[p]) for a, p in zip(labels, probabilities.argmax(axis=1), strict=True)]
