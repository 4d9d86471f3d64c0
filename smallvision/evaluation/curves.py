"""What predictions are worth, as rows to draw; docs/plots.md says how to read them.

Labels and probabilities are those of `scores.score`. Every curve has a bounded number of rows, however many
pictures there are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from smallvision.core.files import write_csv
from smallvision.evaluation.intervals import wilson
from smallvision.evaluation.scores import BINS, class_rows, confidence_bins

POINTS = 101  # of a curve, at most
Row = tuple[object, ...]


def write_curves(folder: Path, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> None:
    """Write the files that the plots of `dvc.yaml` read."""
    answers = labels, probabilities
    tables: dict[str, tuple[str, Sequence[Row]]] = {
        "classes": ("class,pictures,recall,precision,f1", class_rows(*answers, classes)),
        "confusion": ("actual,predicted,pictures,share", confusion_rows(*answers, classes)),
        "roc": ("class,auc,false_positives,true_positives", roc_rows(*answers, classes)),
        "reliability": ("confidence,accuracy,low,high,pictures,from,to", reliability_rows(*answers)),
        "threshold": ("class,threshold,accuracy,precision,recall", threshold_rows(*answers, classes)),
        "rejection": ("answered,accuracy,confidence", rejection_rows(*answers)),
    }
    for name, (header, rows) in tables.items():
        rounded = [[round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in rows]
        write_csv(folder / f"{name}.csv", header.split(","), rounded)


def confusion_rows(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[Row]:
    """Return (actual, predicted, pictures, their share of the actual class) of each pair of classes."""
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(len(classes)))
    shares = counts / counts.sum(axis=1, keepdims=True)
    return [
        (classes[actual], classes[predicted], int(count), shares[actual, predicted])
        for (actual, predicted), count in np.ndenumerate(counts)
    ]


def _against_the_rest(
    labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (class, which pictures show it, its probability); of two classes the second, as the first is its mirror."""
    for index in range(1 if len(classes) == 2 else 0, len(classes)):
        yield classes[index], labels == index, probabilities[:, index]


def roc_rows(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[Row]:
    """Return (class, its AUC, false positive rate, true positive rate) of each class against the rest."""
    rows: list[Row] = []
    for name, positive, probability in _against_the_rest(labels, probabilities, classes):
        false, true, _ = roc_curve(positive, probability)
        area = float(roc_auc_score(positive, probability))
        rows += [(name, area, false[i], true[i]) for i in _thin(false, true)]
    return rows


def _thin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return at most `POINTS` indices of a curve from (0, 0) to (1, 1), about evenly along it, with both ends."""
    along = x + y
    indices: np.ndarray = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)))
    return indices


def threshold_rows(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[Row]:
    """Return (class, threshold, accuracy, precision, recall) if what reaches the threshold is taken for the class.

    Accuracy is None with more than two classes, where most pictures are of the rest whatever the threshold, and
    precision where nothing reaches it.
    """
    rows: list[Row] = []
    for name, positive, probability in _against_the_rest(labels, probabilities, classes):
        for threshold in np.linspace(0, 1, POINTS):
            taken = probability >= threshold
            accuracy = np.mean(taken == positive) if len(classes) == 2 else None
            precision = np.mean(positive[taken]) if taken.any() else None
            rows.append((name, threshold, accuracy, precision, np.mean(taken[positive])))
    return rows


def rejection_rows(labels: np.ndarray, probabilities: np.ndarray) -> list[Row]:
    """Return (share of pictures answered, accuracy of those, least confidence) if the least sure ones are left out.

    Source: Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum((probabilities.argmax(axis=1) == labels)[order])
    counts = np.unique(np.linspace(0, len(labels), POINTS).round().astype(int))[1:]
    return [(n / len(labels), right[n - 1] / n, confidence[order[n - 1]]) for n in counts]


def reliability_rows(labels: np.ndarray, probabilities: np.ndarray) -> list[Row]:
    """Return (mean confidence, accuracy, its 95% interval: low, high, pictures, bin: from, to) of each bin in use.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = confidence_bins(confidence)
    rows: list[Row] = []
    for index in np.unique(bins):
        inside = bins == index
        low, high = wilson(int(right[inside].sum()), int(inside.sum()))
        numbers = confidence[inside].mean(), right[inside].mean(), low, high
        edges = index / BINS, (index + 1) / BINS
        rows.append((*numbers, int(inside.sum()), *edges))
    return rows
