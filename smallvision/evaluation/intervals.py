"""Confidence intervals of an accuracy and of the difference between two, and a test of that difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance

CONFIDENCE = 0.95


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95% confidence interval of the share `successes / trials`, both ends in [0, 1].

    Source: E. B. Wilson, "Probable Inference", JASA 22 (1927), as implemented by SciPy.
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Pairs:
    """How many of the same pictures both of two models, A and B, got right, only one of them, or neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """The number of pictures."""
        return self.both + self.only_a + self.only_b + self.neither


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """Return the 95% confidence interval of the accuracy of B minus the accuracy of A, both ends in [-1, 1].

    Source: R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", Statistics in Medicine 17 (1998), method 10.
    """
    # The letters are those of the paper. Its first proportion is that of B.
    e, f, g, h, n = pairs.both, pairs.only_b, pairs.only_a, pairs.neither, pairs.n
    p_b, p_a = (e + f) / n, (e + g) / n
    (low_b, high_b), (low_a, high_a) = wilson(e + f, n), wilson(e + g, n)
    margins = (e + f) * (g + h) * (e + g) * (f + h)
    excess: float = e * h - f * g
    if excess > 0:
        excess = max(excess - n / 2, 0)
    phi = excess / sqrt(margins) if margins else 0.0

    def combine(x: float, y: float) -> float:
        return sqrt(max(x * x - 2 * phi * x * y + y * y, 0))

    difference = p_b - p_a
    return (
        difference - combine(p_b - low_b, high_a - p_a),
        difference + combine(high_b - p_b, p_a - low_a),
    )


def mcnemar(pairs: Pairs) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    It is the probability that the pictures which only one model got right would be divided at least as unevenly if
    both models were equally good.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), with the binomial distribution, as implemented by SciPy.
    """
    from scipy.stats import binomtest

    discordant = pairs.only_a + pairs.only_b
    return float(binomtest(pairs.only_a, discordant).pvalue) if discordant else 1.0


def cross_validation_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Return the 95% confidence interval of the mean of a score over the folds of a cross-validation.

    Any two folds are fitted on largely the same pictures, so their scores are not independent, and s^2 / k, the usual
    variance of a mean, is too small. The corrected one is s^2 (1 / k + n_test / n_train), where n_test / n_train, the
    pictures that are left out for each that is fitted on, is 1 / (k - 1) with k folds. The interval is that of
    Student's t with k - 1 degrees of freedom. It was derived for splits that are drawn anew each time.

    Args:
        scores: the score of each of k >= 2 folds. For a paired comparison these are the differences between the scores
            of two models on the same folds.

    Returns:
        Both ends, in the unit of the scores. They may lie beyond the range that a score can have.

    Raises:
        ValueError: there are fewer than two folds.

    Source: C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), the corrected
    resampled t-test.
    """
    from scipy.stats import t

    k = len(scores)
    if k < 2:
        raise ValueError(f"expected the scores of two folds or more, received {k}")
    mean = fmean(scores)
    margin = float(t.ppf((1 + CONFIDENCE) / 2, k - 1)) * sqrt(variance(scores) * (1 / k + 1 / (k - 1)))
    return mean - margin, mean + margin
