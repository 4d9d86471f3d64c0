"""How good answers are, as single numbers."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from smallvision.evaluation.answers import Answers
from smallvision.evaluation.intervals import wilson

BINS = 15  # equal intervals of confidence, as many as Guo et al. use


class ClassRow(NamedTuple):
    """How good the answers about one class are: `pictures` show it; `precision` is None if it was never predicted."""

    name: str
    pictures: int
    recall: float
    precision: float | None
    f1: float


def score(answers: Answers) -> dict[str, float | int | None]:
    """Score the answers about all test pictures; every class must occur among the labels.

    Returns:
        `n`: the number of pictures. `acc`: accuracy, with its 95% Wilson interval `acc_low` to `acc_high`.
        `balanced_acc`: the mean recall of the classes. `loss`: the cross-entropy in nats. `brier`: half the squared
        distance between the probabilities and the truth, in [0, 1], which for two classes is the usual Brier score.
        `ece`: the expected calibration error. `auc`: the area under the ROC curve; for more than two classes the mean
        over each class against the rest. With two classes there are also `recall_…` and `precision_…` for each (None if
        it was never predicted). More classes would fill a terminal, so only `class_rows` has theirs.

    Sources: G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78
    (1950), halved; for the others see `wilson` and `calibration_error`. SciPy and scikit-learn compute all but the
    calibration error.
    """
    # scikit-learn takes a second to import, and whoever finds an error before must not wait for it.
    from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss, roc_auc_score

    labels, probabilities = answers.labels, answers.probabilities
    right = int(answers.is_right.sum())
    low, high = wilson(right, len(labels))
    names = np.arange(len(answers.classes))
    auc = (
        roc_auc_score(labels, probabilities[:, 1])
        if len(names) == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", labels=names)
    )
    scores: dict[str, float | int | None] = {
        "n": len(labels),
        "acc": right / len(labels),
        "acc_low": low,
        "acc_high": high,
        "balanced_acc": float(balanced_accuracy_score(labels, answers.predicted)),
        "loss": float(log_loss(labels, probabilities, labels=names)),
        "brier": float(brier_score_loss(labels, probabilities, labels=names, scale_by_half=True)),
        "ece": calibration_error(answers),
        "auc": float(auc),
    }
    if len(names) == 2:
        for row in class_rows(answers):
            scores |= {f"recall_{row.name}": row.recall, f"precision_{row.name}": row.precision}
    return scores


def class_rows(answers: Answers) -> list[ClassRow]:
    """Return how good the answers about each class are."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, count = precision_recall_fscore_support(
        answers.labels, answers.predicted, labels=np.arange(len(answers.classes)), zero_division=np.nan
    )
    return [
        ClassRow(name, int(n), float(r), None if np.isnan(p) else float(p), float(f))
        for name, n, r, p, f in zip(answers.classes, count, recall, precision, f1, strict=True)
    ]


class RecallRow(NamedTuple):
    """How many of the `pictures` of a class were found: `recall`, with its 95% Wilson interval `low` to `high`."""

    name: str
    pictures: int
    recall: float
    low: float
    high: float


def recall_rows(answers: Answers) -> list[RecallRow]:
    """Return how many pictures of each class were found, for the classes that occur among the labels."""
    rows = []
    for index in np.unique(answers.labels).tolist():
        right = answers.is_right[answers.labels == index]
        low, high = wilson(int(right.sum()), len(right))
        rows.append(RecallRow(answers.classes[index], len(right), float(right.mean()), low, high))
    return rows


def confused_pairs(answers: Answers) -> list[tuple[str, str, int]]:
    """Return which class was taken for which other one and how often, the most frequent pair first."""
    wrong = ~answers.is_right
    counts = Counter(zip(answers.labels[wrong].tolist(), answers.predicted[wrong].tolist(), strict=True))
    return [(answers.classes[actual], answers.classes[said], count) for (actual, said), count in counts.most_common()]


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the index of the bin, one of `BINS` equal parts of [0, 1], that each confidence `(n,)` lies in.

    A bin includes its upper edge.
    """
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return bins


def calibration_error(answers: Answers) -> float:
    """Return the expected calibration error: how far accuracy is from confidence, averaged over bins of confidence.

    Each bin is weighted by the number of its pictures. Confidence is the probability of the predicted class.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 2 to 5.
    """
    confidence = answers.confidence
    surplus = confidence - answers.is_right
    per_bin = np.bincount(confidence_bins(confidence), surplus, BINS)
    return float(np.abs(per_bin).sum() / len(answers.labels))


def rank_mistakes(answers: Answers) -> np.ndarray:
    """Find the pictures whose label is not the most probable class, and sort them, the least probable label first.

    Args:
        answers: the answers of models that were not trained on the picture in question.

    Returns:
        Their indices, integers `(k,)`.

    Source: the self-confidence ranking of C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
    Uncertainty in Dataset Labels", JAIR 70 (2021).
    """
    of_labels = answers.probabilities[np.arange(len(answers.labels)), answers.labels]
    order = np.argsort(of_labels, kind="stable")
    wrong: np.ndarray = order[~answers.is_right[order]]
    return wrong
