"""The logistic head is scikit-learn's regression, and what the folds say about a picture is not learned from it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from smallvision.core import process
from smallvision.core.errors import DivergedError
from smallvision.training import logistic
from smallvision.training.logistic import FOLDS, STRENGTHS, WITHOUT_FOLDS, fit_logistic, make_folds


def make_views(count: int, classes: int, views: int = 2, features: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Features with means that differ from class to class, of very different sizes; the views of a picture are alike.

    The classes overlap, and the first one has the most pictures.
    """
    rng = np.random.default_rng(classes)
    labels = np.minimum(rng.integers(0, classes + 1, count) % (classes + 1), classes - 1)[::-1].copy()
    means = rng.normal(size=(classes, features))[labels]
    found = means + rng.normal(size=(count, features)) * 1.5 + rng.normal(size=(views, count, features)) * 0.3
    return (found * rng.uniform(0.1, 3, features) + rng.normal(size=features)).astype(np.float32), labels


def alone(labels: np.ndarray) -> np.ndarray:
    """Each picture is a group of its own."""
    return np.arange(len(labels))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("classes", "views"), [(2, 1), (2, 2), (3, 2)])
def test_the_fit_is_scikit_learns(classes, views, balanced):
    shown, labels = make_views(90, classes, views)
    fitted = fit_logistic(shown, labels, alone(labels), balanced=balanced)
    assert fitted.kernel.shape == (12, 1 if classes == 2 else classes)
    assert fitted.kernel.dtype == fitted.bias.dtype == np.float32
    assert fitted.c in STRENGTHS
    rows = np.concatenate(list(shown)).astype(np.float64)
    size = np.sqrt(rows.var(axis=0).mean())
    reference = LogisticRegression(C=fitted.c, tol=1e-8, max_iter=10_000, class_weight="balanced" if balanced else None)
    reference.fit(rows / size, np.tile(labels, views))
    expected = np.mean([reference.predict_proba(view / size) for view in shown], axis=0)
    found = fitted.probabilities(shown)
    assert found.dtype == np.float64
    assert np.allclose(found, expected, atol=1e-3)
    assert expected.std(axis=0).min() > 0.05  # so that there is something to compare


def test_balanced_classes_count_alike():
    shown, labels = make_views(200, 2)
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:10]])
    shown, labels = shown[:, rare], labels[rare]
    shares = [fit_logistic(shown, labels, alone(labels), balanced=balanced).probabilities(shown)[:, 1].mean()
              for balanced in (False, True)]  # fmt: skip
    assert shares[0] == pytest.approx(labels.mean(), abs=0.01)  # as always with an intercept that has no penalty
    assert shares[1] > 2 * labels.mean()


@pytest.mark.parametrize("size", [1, 6], ids=["views of a picture", "pictures of a group"])
def test_what_is_alike_is_in_one_fold(size):
    """Features tell nothing but the group, and groups have classes by chance: who saw the group knows the class."""
    count = 40
    groups = np.tile(np.arange(count), size)
    labels = np.random.default_rng(1).permutation(np.arange(count) % 2)[groups]
    shown = np.stack([np.eye(count, dtype=np.float32)[groups]] * 2)
    fitted = fit_logistic(shown, labels, groups, balanced=False)
    assert (fitted.held_out.argmax(axis=1) == labels).mean() < 0.6
    assert np.allclose(fitted.held_out.sum(axis=1), 1)
    if size > 1:  # the same pictures without their groups
        leaking = fit_logistic(shown, labels, alone(labels), balanced=False)
        assert (leaking.held_out.argmax(axis=1) == labels).mean() == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=6, max_size=60))
def test_folds_keep_groups_together_and_leave_pictures_of_every_class(pictures):
    labels, groups = np.array(pictures).T
    assume(len(np.unique(labels)) == labels.max() + 1)
    folds = make_folds(labels, groups)
    fewest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    if folds is None:
        assert fewest < 2 or len(np.unique(groups)) < len(groups)
        return
    assert len(np.unique(folds)) <= min(FOLDS, fewest)
    assert len(np.unique(np.stack([groups, folds]), axis=1).T) == len(np.unique(groups))
    for fold in np.unique(folds):
        assert set(labels[folds != fold]) == set(labels)


def test_folds_without_groups_have_the_same_share_of_each_class():
    labels = np.repeat([0, 1, 2], [50, 20, 5])
    folds = make_folds(labels, alone(labels))
    counts = np.array([np.bincount(labels[folds == fold], minlength=3) for fold in range(FOLDS)])
    assert (counts == [10, 4, 1]).all()


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([0] * 10 + [1] * 10, [0] * 10 + [1] * 10),  # a group for each class
        ([0] * 10 + [1] * 10, [*range(10)] + [10] * 10),  # all of a class in one group
        ([0] * 10 + [1], range(11)),  # a class with one picture
        ([1, 0, 0, 1], [1, 2, 1, 0]),  # two folds, one of which would take groups 1 and 0, and with them all of class 1
    ],
)
def test_where_groups_are_too_few_for_folds_the_strength_is_the_usual_one(labels, groups):
    labels = np.array(labels)
    shown = np.random.default_rng(1).normal(size=(2, len(labels), 4)).astype(np.float32)
    fitted = fit_logistic(shown, labels, np.array(groups), balanced=False)
    assert fitted.held_out is None
    assert fitted.c == WITHOUT_FOLDS
    assert np.isfinite(fitted.probabilities(shown)).all()


def answers(labels: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Answers that are sure to nine tenths, and wrong about these pictures."""
    said = labels.copy()
    said[wrong] = 1 - said[wrong]
    return np.where(np.eye(2)[said] == 1, 0.9, 0.1)


def strength_of(monkeypatch, labels: np.ndarray, wrong: list[np.ndarray], *, balanced: bool = False) -> int:
    """Return the index of the strength that is chosen if the folds are wrong about these pictures with each."""
    predicted = np.stack([answers(labels, each) for each in wrong])
    monkeypatch.setattr(logistic, "_cross_validate", lambda *_, **__: predicted)
    shown = np.random.default_rng(1).normal(size=(1, len(labels), 3)).astype(np.float32)
    fitted = fit_logistic(shown, labels, alone(labels), balanced=balanced)
    chosen = STRENGTHS.index(fitted.c)
    assert np.array_equal(fitted.held_out, predicted[chosen])
    return chosen


def test_the_strongest_penalty_that_is_as_good_within_a_standard_error_is_taken(monkeypatch):
    labels, at = np.arange(100) % 2, np.arange
    assert strength_of(monkeypatch, labels, [at(9)] * 4) == 0
    assert strength_of(monkeypatch, labels, [at(40), at(10), at(20, 29), at(20, 29)]) == 1
    assert strength_of(monkeypatch, labels, [at(40), at(30), at(20, 29), at(20, 29)]) == 2
    assert strength_of(monkeypatch, labels, [at(40), at(39), at(38), at(9)]) == 3
    # The same difference of one picture counts where the others are the same, so that luck cannot account for it.
    assert strength_of(monkeypatch, labels, [at(14), at(9), at(9), at(9)]) == 1


def test_with_balanced_classes_mistakes_about_a_rare_class_count_more(monkeypatch):
    labels = (np.arange(100) >= 90).astype(int)
    few_of_the_rare, many_of_the_others = np.arange(95, 100), np.arange(15)
    wrong = [few_of_the_rare, *[many_of_the_others] * 3]
    assert strength_of(monkeypatch, labels, wrong) == 0
    assert strength_of(monkeypatch, labels, wrong, balanced=True) == 1


def test_a_feature_that_never_changes_is_no_obstacle():
    shown, labels = make_views(60, 3)
    shown[..., 4] = 7
    found = fit_logistic(shown, labels, alone(labels), balanced=False).probabilities(shown)
    assert (found.argmax(axis=1) == labels).mean() > 0.6
    shown[:] = 7  # with no other, the answer is the share of each class
    found = fit_logistic(shown, labels, alone(labels), balanced=False).probabilities(shown)
    assert np.allclose(found, np.bincount(labels) / len(labels), atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_told(value):
    shown, labels = make_views(20, 2)
    shown[1, 7, 3] = value
    with pytest.raises(DivergedError, match="the features of the base are not numbers; check `weights`"):
        fit_logistic(shown, labels, alone(labels), balanced=False)


def test_a_signal_that_a_library_swallowed_ends_it(monkeypatch):
    shown, labels = make_views(20, 2)
    monkeypatch.setattr(process, "_received", [15])
    with pytest.raises(KeyboardInterrupt):
        fit_logistic(shown, labels, alone(labels), balanced=False)


def test_chance_plays_no_part():
    shown, labels = make_views(60, 3)
    fits = []
    for seed in (1, 2):
        np.random.seed(seed)  # where scikit-learn is given no seed, it draws from this
        fits.append(fit_logistic(shown.copy(), labels, labels * 100 + np.arange(60) // 2, balanced=False))
    assert np.array_equal(fits[0].kernel, fits[1].kernel)
    assert np.array_equal(fits[0].bias, fits[1].bias)
    assert np.array_equal(fits[0].held_out, fits[1].held_out)


@pytest.mark.parametrize("size", [0.01, 100])
def test_neither_the_size_of_all_features_nor_their_zeros_matter(size):
    shown, labels = make_views(40, 2)
    zeros = np.random.default_rng(1).uniform(-20, 20, 12)
    moved = ((shown + zeros) * size).astype(np.float32)
    fits = [fit_logistic(each, labels, alone(labels), balanced=False) for each in (shown, moved)]
    assert fits[0].c == fits[1].c
    assert np.allclose(fits[0].probabilities(shown), fits[1].probabilities(moved), atol=1e-3)
