"""With `head: logistic`, training gives one network that answers as the regression does."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from smallvision.core.params import Recipe
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import Entry
from smallvision.evaluation.gradcam import gradcam
from smallvision.models.keras_file import load_safely
from smallvision.training import features, logistic, transfer
from smallvision.training.batches import balanced_weights
from smallvision.training.fitting import Fit
from smallvision.training.hooks import Hooks
from smallvision.training.logistic import Logistic
from smallvision.training.transfer import fit_on_base, freeze_and_pool
from tests.conftest import jpeg
from tests.models.helpers import probabilities_of
from tests.training.helpers import SIZE, bright_and_dark, make_base, make_plan


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))  # one for all tests


@pytest.fixture
def fits(monkeypatch) -> list[tuple[tuple, Logistic]]:
    """What the regression was given, and what came of it.

    The penalty is so weak that a few pictures make answers that differ.
    """
    monkeypatch.setattr(logistic, "STRENGTHS", (1.0,))
    done, fit_logistic = [], transfer.fit_logistic

    def fit(*arguments, balanced):
        done.append(((*arguments, balanced), fit_logistic(*arguments, balanced=balanced)))
        return done[-1][1]

    monkeypatch.setattr(transfer, "fit_logistic", fit)
    return done


def noisy(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that differ by brightness, though not in all pictures; the first one has the most."""
    labels = np.minimum(np.arange(count) % (classes + 2), classes - 1)[::-1].copy()
    rng = np.random.default_rng(count)
    brightness = labels * 40 + rng.normal(scale=30, size=count) + 80
    pictures = brightness[:, None, None, None] + rng.normal(scale=20, size=(count, SIZE, SIZE, 3))
    return pictures.clip(0, 255).astype(np.uint8), labels


def fit(train, validation, classes: int, reports=(), class_weights="none", **settings) -> Fit:
    recipe = Recipe(backbone="base.keras", head="logistic", **settings)
    plan = replace(make_plan(epochs=1), recipe=recipe, batch_size=0, lr=0.0, seed=0, class_weights=class_weights)
    return fit_on_base(make_base(), train, validation, classes, plan, Hooks(reports=reports))


@pytest.mark.parametrize(("classes", "mirror"), [(2, True), (3, False)])
def test_the_network_answers_as_the_regression_does_after_saving_too(tmp_path, fits, classes, mirror):
    train, validation = noisy(40, classes), noisy(20, classes)
    reports = []
    result = fit(train, validation, classes, [reports.append], mirror=mirror)
    ((views, labels, groups, balanced), fitted) = fits[0]
    assert views.shape == (2 if mirror else 1, 40, 8)
    assert np.array_equal(labels, train[1])
    assert np.array_equal(groups, np.arange(40))
    assert not balanced

    pooled, _ = freeze_and_pool(make_base(), Recipe(backbone="x", head="logistic"), classes)
    shown = features.compute_features(pooled, validation[0], "validation pictures")
    expected = fitted.probabilities(shown[np.newaxis])
    assert result.c == fitted.c
    assert result.model.input_shape == (None, SIZE, SIZE, 3)
    assert np.allclose(probabilities_of(result.model, validation[0]), expected, atol=1e-5)
    result.model.save(tmp_path / "model.keras")
    assert np.allclose(probabilities_of(load_safely(tmp_path / "model.keras"), validation[0]), expected, atol=1e-5)

    # The history has the numbers of the network; in those of training, all views of a picture count as one answer.
    (row,) = result.history
    assert reports == [[row]]
    assert row.keys() == {"acc", "loss", "val_acc", "val_loss"}
    right = expected[np.arange(20), validation[1]]
    assert row["val_acc"] == (expected.argmax(axis=1) == validation[1]).mean()
    assert row["val_loss"] == pytest.approx(-np.log(right).mean())
    assert row["acc"] == (fitted.probabilities(views).argmax(axis=1) == labels).mean()
    assert 0.5 < row["val_acc"] < 1
    assert expected.std(axis=0).min() > 0.1


def test_the_mirror_images_are_the_second_view(fits):
    train = noisy(12, 2)
    fit(train, train, 2, mirror=True)
    mirrored = train[0][:, :, ::-1], train[1]
    fit(mirrored, train, 2, mirror=True)
    assert np.array_equal(fits[0][0][0], fits[1][0][0][::-1])
    assert not np.allclose(fits[0][0][0][0], fits[0][0][0][1], atol=1e-3)


def test_class_weights_count_in_the_fit_and_in_the_history(fits):
    train, validation = noisy(40, 2), noisy(20, 2)
    row = fit(train, validation, 2, class_weights="balanced").history[0]
    (views, labels, _, balanced), fitted = fits[0]
    assert balanced
    weights = balanced_weights(labels)
    each = np.array([weights[label] for label in labels])
    losses = -np.log(fitted.probabilities(views)[np.arange(40), labels])
    assert row["loss"] == pytest.approx((losses * each).sum() / each.sum())
    assert row["loss"] != pytest.approx(losses.mean(), rel=1e-3)


def test_groups_of_the_pictures_reach_the_folds(tmp_path, fits):
    (tmp_path / "train/cat").mkdir(parents=True)
    entries = []
    for number in range(12):
        data = jpeg(number)
        entry = Entry("train", "cat", f"{number}.jpg", "", hashlib.sha256(data).hexdigest(), "JPEG")
        (tmp_path / entry.path).write_bytes(data)
        entries.append(entry)
    pictures = Pictures(tmp_path, entries, SIZE, groups=[3] * 4 + [1] * 4 + [7] * 4)
    fit((pictures, np.arange(12) % 2), bright_and_dark(4), 2)
    assert fits[0][0][2].tolist() == [3] * 4 + [1] * 4 + [7] * 4


def test_a_heatmap_shows_what_such_a_network_looks_at():
    train = noisy(12, 2)
    heat = gradcam(fit(train, train, 2).model, train[0][:2], np.array([0, 1]))
    assert heat.shape[0] == 2
    assert np.isfinite(heat).all()
    assert heat.max() > 0
