"""How good answers are, as the rows of tables and curves. docs/plots.md says how to read the plots.

However many pictures there are, a curve has at most `POINTS` rows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smallvision.core.files import write_csv
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.intervals import wilson
from smallvision.evaluation.scores import BINS, ClassRow, class_rows, confidence_bins

POINTS = 101
Row = tuple[object, ...]


class Table(NamedTuple):
    """The names of the columns, and the rows."""

    header: Sequence[str]
    rows: Sequence[Row]


def write_curves(folder: Path, answers: Answers) -> None:
    """Write the CSV files that the plots of `dvc.yaml` read."""
    tables = {
        "classes": Table(["class", *ClassRow._fields[1:]], class_rows(answers)),
        "confusion": confusion_table(answers),
        "roc": roc_table(answers),
        "reliability": reliability_table(answers),
        "threshold": threshold_table(answers),
        "rejection": rejection_table(answers),
    }
    for name, table in tables.items():
        rounded = [[round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in table.rows]
        write_csv(folder / f"{name}.csv", table.header, rounded)


def confusion_table(answers: Answers) -> Table:
    """Return how many pictures of each class were taken for each class, also as their share of the actual class."""
    from sklearn.metrics import confusion_matrix

    classes = answers.classes
    counts = confusion_matrix(answers.labels, answers.predicted, labels=np.arange(len(classes)))
    shares = counts / counts.sum(axis=1, keepdims=True)
    rows = [
        (classes[actual], classes[predicted], int(count), shares[actual, predicted])
        for (actual, predicted), count in np.ndenumerate(counts)
    ]
    return Table(["actual", "predicted", "pictures", "share"], rows)


def _against_the_rest(answers: Answers) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield for each class its name, which pictures show it (bool `(n,)`), and its probability (float `(n,)`).

    If there are two classes, only the second is yielded, because the first would be its mirror image.
    """
    for index in range(1 if len(answers.classes) == 2 else 0, len(answers.classes)):
        yield answers.classes[index], answers.labels == index, answers.probabilities[:, index]


def roc_table(answers: Answers) -> Table:
    """Return for each class against the rest its AUC and the rates of false and true positives along its ROC curve."""
    from sklearn.metrics import roc_auc_score, roc_curve

    rows: list[Row] = []
    for name, positive, probability in _against_the_rest(answers):
        false, true, _ = roc_curve(positive, probability)
        area = float(roc_auc_score(positive, probability))
        rows += [(name, area, false[i], true[i]) for i in _thin_out(false, true)]
    return Table(["class", "auc", "false_positives", "true_positives"], rows)


def _thin_out(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return at most `POINTS` indices of a curve from (0, 0) to (1, 1), spread evenly along it, both ends included."""
    along = x + y
    indices: np.ndarray = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)))
    return indices


def threshold_table(answers: Answers) -> Table:
    """Return accuracy, precision and recall of each class against the rest at each threshold.

    A picture is taken for the class if its probability reaches the threshold. Accuracy is None for more than two
    classes: most pictures belong to the rest, so it would be high at most thresholds. Precision is None where no
    picture reaches the threshold.
    """
    rows: list[Row] = []
    for name, positive, probability in _against_the_rest(answers):
        for threshold in np.linspace(0, 1, POINTS):
            taken = probability >= threshold
            accuracy = np.mean(taken == positive) if len(answers.classes) == 2 else None
            precision = np.mean(positive[taken]) if taken.any() else None
            rows.append((name, threshold, accuracy, precision, np.mean(taken[positive])))
    return Table(["class", "threshold", "accuracy", "precision", "recall"], rows)


def rejection_table(answers: Answers) -> Table:
    """Return the share of pictures answered, their accuracy and their least confidence as the least sure are left out.

    Source: Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
    """
    confidence, total = answers.confidence, len(answers.labels)
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(answers.is_right[order])
    counts = np.unique(np.linspace(0, total, POINTS).round().astype(int))[1:]
    rows = [(n / total, right[n - 1] / n, confidence[order[n - 1]]) for n in counts]
    return Table(["answered", "accuracy", "confidence"], rows)


def reliability_table(answers: Answers) -> Table:
    """Return the mean confidence, accuracy and number of pictures of each bin of confidence that has pictures in it.

    `low` and `high` are the ends of the accuracy's 95% interval, `from` and `to` those of the bin.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    confidence, right = answers.confidence, answers.is_right
    bins = confidence_bins(confidence)
    rows: list[Row] = []
    for index in np.unique(bins):
        inside = bins == index
        low, high = wilson(int(right[inside].sum()), int(inside.sum()))
        numbers = confidence[inside].mean(), right[inside].mean(), low, high
        edges = index / BINS, (index + 1) / BINS
        rows.append((*numbers, int(inside.sum()), *edges))
    return Table(["confidence", "accuracy", "low", "high", "pictures", "from", "to"], rows)
