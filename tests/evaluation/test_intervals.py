"""Intervals and tests of shares and their differences, against numbers that were worked out in another way."""

from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smallvision.evaluation.intervals import Pairs, cross_validation_interval, difference_interval, mcnemar

COUNTS = st.builds(Pairs, *[st.integers(0, 300)] * 4)


def test_newcombes_interval_by_hand():
    """Both were right on 20 pictures, one alone on 12 and on 2, and neither on 16.

    Wilson: 0.64 within 0.5014 and 0.7586, 0.44 within 0.3116 and 0.5769. The margins' product is 354816,
    so phi is (20 * 16 - 12 * 2 - 25) / sqrt(354816) = 0.4550.
    """
    low, high = difference_interval(Pairs(both=20, only_a=2, only_b=12, neither=16))
    assert low == pytest.approx(0.2 - sqrt(0.1386**2 - 2 * 0.4550 * 0.1386 * 0.1369 + 0.1369**2), abs=2e-4)
    assert high == pytest.approx(0.2 + sqrt(0.1186**2 - 2 * 0.4550 * 0.1186 * 0.1284 + 0.1284**2), abs=2e-4)


def test_many_pictures_come_near_the_normal_interval():
    pairs = Pairs(both=60_000, only_a=9_000, only_b=11_000, neither=20_000)
    difference = 2_000 / pairs.n
    margin = 1.96 * sqrt(20_000 - 2_000**2 / pairs.n) / pairs.n
    assert difference_interval(pairs) == pytest.approx((difference - margin, difference + margin), abs=5e-5)


@given(COUNTS)
def test_the_interval_holds_the_difference_and_turns_round_with_it(pairs):
    assume(pairs.n)
    low, high = difference_interval(pairs)
    difference = (pairs.only_b - pairs.only_a) / pairs.n
    assert -1 - 1e-9 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1 + 1e-9
    turned = Pairs(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)
    assert difference_interval(turned) == pytest.approx((-high, -low), abs=1e-9)


def test_mcnemar_counts_the_tails():
    from scipy.stats import binom

    assert mcnemar(Pairs(50, 1, 9, 40)) == pytest.approx(2 * binom.cdf(1, 10, 0.5))
    assert mcnemar(Pairs(50, 0, 0, 40)) == 1


@given(COUNTS)
def test_mcnemar_ignores_pictures_on_which_both_did_alike(pairs):
    p = mcnemar(pairs)
    assert 0 <= p <= 1
    assert p == pytest.approx(mcnemar(Pairs(0, pairs.only_b, pairs.only_a, 7)))


def test_the_corrected_interval_by_hand():
    """The mean is 0.9, the squared deviations add up to 0.001, s^2 is 0.00025, and t(0.975; 4) is 2.7764.

    Each fold is fitted on four times as many pictures as it leaves out, so the variance is s^2 (1/5 + 1/4).
    """
    low, high = cross_validation_interval([0.88, 0.89, 0.90, 0.91, 0.92])
    margin = 2.7764 * sqrt(0.00025 * 0.45)
    assert (low, high) == pytest.approx((0.9 - margin, 0.9 + margin), abs=1e-5)
    low, high = cross_validation_interval([0.5, 0.7])  # s^2 is 0.02, and t(0.975; 1) is 12.7062
    assert (low, high) == pytest.approx((0.6 - 12.7062 * sqrt(0.03), 0.6 + 12.7062 * sqrt(0.03)), abs=1e-5)


def test_folds_that_agree_leave_no_doubt_and_one_fold_says_nothing():
    assert cross_validation_interval([-0.25] * 5) == (-0.25, -0.25)
    with pytest.raises(ValueError, match="two folds or more, received 1"):
        cross_validation_interval([0.9])
