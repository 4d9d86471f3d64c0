"""A logistic regression on the features of a frozen base: no epochs and no chance, fitted in seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.class_weight import compute_sample_weight

from smallvision.core.errors import DivergedError
from smallvision.core.process import check_stopped
from smallvision.core.progress import show_progress
from smallvision.training.calibration import SMALLEST, fit_temperature, scale

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of C, the inverse of the penalty on the squared weights
WITHOUT_FOLDS = 1e-2  # is good for all bases that were tried (docs/results.md)
FOLDS = 5
TOLERANCE = 1e-4  # of the gradient
FOLDS_TOLERANCE = 1e-2  # is enough to choose among strengths that are ten times apart, and takes a quarter of the time
ITERATIONS = 10_000


@dataclass(frozen=True, eq=False)  # an array has no truth value, so comparing two would raise an error
class Logistic:
    """A fitted regression, from features as they come from the base.

    Attributes:
        kernel: float32 `(features, outputs)`; two classes have one output, the logit of the second one.
        bias: float32 `(outputs,)`.
        c: the inverse of the penalty on the squared weights, as in scikit-learn, of features whose mean variance is 1.
        held_out: the probabilities of each training picture, by the regression of the folds without it, float64
            `(n, classes)`; None if groups are so few that a fold would leave no pictures of a class to the fit.
    """

    kernel: np.ndarray
    bias: np.ndarray
    c: float
    held_out: np.ndarray | None

    def probabilities(self, views: np.ndarray) -> np.ndarray:
        """Return the mean over the views of the probability of each class.

        Args:
            views: features `(views, n, features)`.

        Returns:
            float64 array `(n, classes)`.
        """
        logits = views @ self.kernel + self.bias
        if logits.shape[2] > 1:
            several: np.ndarray = softmax(logits.astype(np.float64), axis=2).mean(axis=0)
            return several
        second = expit(logits.astype(np.float64)).mean(axis=0)
        return np.hstack([1 - second, second])


def fit_logistic(views: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, balanced: bool) -> Logistic:
    """Fit a logistic regression with an L2 penalty, whose strength cross-validation chooses.

    The strengths are compared by the cross-entropy of the folds' answers after calibration, since the network that is
    saved is calibrated, too. Of all strengths that are worse than the best one by no more than one standard error of
    the difference, the strongest penalty is taken. All views of a picture are in one fold, and so are all pictures of a
    group. The result does not depend on any seed.

    Args:
        views: features of the pictures, and of their mirror images if there are two views: float32
            `(views, n, features)`.
        labels: integer array `(n,)`; every class occurs.
        groups: integer array `(n,)`; pictures with the same number stay together.
        balanced: make all classes count alike, however many pictures they have.

    Raises:
        DivergedError: a feature is not a number.

    Source: T. Hastie, R. Tibshirani and J. Friedman, *The Elements of Statistical Learning*, 2009, sections 4.4 and
    7.10, whose rule of one standard error is applied here to the difference.
    """
    if not np.isfinite(views).all():
        raise DivergedError("the features of the base are not numbers; check `weights` and the pictures")
    predicted = _cross_validate(views, labels, groups, balanced=balanced)
    if predicted is None:
        (fitted,) = _fit_path(views, labels, (WITHOUT_FOLDS,), TOLERANCE, balanced=balanced)
        return fitted
    chosen = _choose(predicted, labels, compute_sample_weight("balanced" if balanced else None, labels))
    (fitted,) = _fit_path(views, labels, STRENGTHS[chosen : chosen + 1], TOLERANCE, balanced=balanced)
    return Logistic(fitted.kernel, fitted.bias, fitted.c, predicted[chosen])


def _choose(predicted: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> int:
    """Return the index of the strength to take, given what the folds said with each: `(strengths, n, classes)`."""
    calibrated = [scale(rows, fit_temperature(rows, labels)) for rows in predicted]
    losses = np.array([-np.log(np.clip(rows[np.arange(len(labels)), labels], SMALLEST, 1)) for rows in calibrated])
    worse = (losses - losses[(losses @ weights).argmin()]) * weights
    within = worse.mean(axis=1) <= worse.std(axis=1) / np.sqrt(len(labels))
    return int(within.argmax())


def make_folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray | None:
    """Deal the pictures to the folds of a cross-validation, with as even a share of each class as groups allow.

    Args:
        labels: integer array `(n,)`; every class occurs.
        groups: integer array `(n,)`; pictures with the same number are in one fold.

    Returns:
        For each picture the number of the fold that it is in, integers `(n,)`; None if groups are so few that a fold
        would leave no pictures of a class to the fit.
    """
    count = labels.max() + 1
    fewest = min(len(np.unique(groups[labels == label])) for label in range(count))
    if fewest < 2:
        return None
    # Both make the same kind of folds. The one for groups takes seconds for 10,000 pictures.
    grouped = len(np.unique(groups)) < len(groups)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(min(FOLDS, fewest))
    folds = np.empty(len(labels), int)
    for number, (fitted, held_out) in enumerate(splitter.split(labels, labels, groups if grouped else None)):
        if len(np.unique(labels[fitted])) < count:  # as where one group is most of two classes
            return None
        folds[held_out] = number
    return folds


def _cross_validate(views: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, balanced: bool) -> np.ndarray | None:
    """Return for each strength what the folds say about the pictures that they leave out: `(strengths, n, classes)`."""
    folds = make_folds(labels, groups)
    if folds is None:
        return None
    predicted = np.empty((len(STRENGTHS), len(labels), labels.max() + 1))
    numbers = np.unique(folds)
    for fold in show_progress(numbers, "cross-validation", len(numbers), "fold"):
        fitted, held_out = folds != fold, folds == fold
        path = _fit_path(views[:, fitted], labels[fitted], STRENGTHS, FOLDS_TOLERANCE, balanced=balanced)
        for index, one in enumerate(path):
            check_stopped()
            predicted[index, held_out] = one.probabilities(views[:, held_out])
    return predicted


def _fit_path(
    views: np.ndarray, labels: np.ndarray, strengths: Sequence[float], tolerance: float, *, balanced: bool
) -> Iterator[Logistic]:
    """Yield the regression for each strength, each found from the one before.

    All features are divided by one number, so that the same strength suits every base. Dividing each by its own
    standard deviation would make as much of features that hardly vary, and was worse for every base, above all with few
    pictures (docs/results.md).
    """
    features, targets = np.concatenate(list(views)), np.tile(labels, len(views))
    mean, size = features.mean(axis=0), max(float(np.sqrt(features.var(axis=0).mean())), SMALLEST)
    scaled = (features - mean) / size
    model = LogisticRegression(
        class_weight="balanced" if balanced else None, tol=tolerance, max_iter=ITERATIONS, warm_start=True
    )
    for c in strengths:
        model.set_params(C=c).fit(scaled, targets)
        kernel = model.coef_.T / size  # for features as they come from the base
        bias = model.intercept_ - mean @ kernel
        yield Logistic(kernel.astype(np.float32), bias.astype(np.float32), c, None)
