"""Fitting keeps the best epoch, repeats itself, and stops when the loss is no number."""

import contextlib
import io
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallvision.core.errors import DivergedError
from smallvision.models.convnet import build_convnet
from smallvision.models.inference import predict_probabilities
from smallvision.training import fitting
from smallvision.training.batches import training_batches
from smallvision.training.fitting import fit
from smallvision.training.history import is_over
from smallvision.training.hooks import Hooks
from smallvision.training.optimizers import KernelMuon
from tests.training.helpers import SWAPPED, TRAIN, VALIDATION, bright_and_dark, build_tiny, make_plan


def fit_tiny(train=TRAIN, validation=VALIDATION, classes=2, build=None, reports=(), **settings):
    build = build or partial(build_tiny, classes)
    return fit(build, train, validation, make_plan(**settings), Hooks(reports=reports))


BOOKS = partial(build_convnet, 46, 2)


@pytest.fixture(scope="module")
def swapped():
    """A training whose best epoch is an early one; what it reported, and the lines that it printed."""
    reported, out = [], io.StringIO()
    with contextlib.redirect_stdout(out):
        result = fit_tiny(validation=SWAPPED, reports=[lambda history: reported.append(list(history))])
    return result, reported, out.getvalue().splitlines()


def test_the_best_epoch_is_kept(swapped):
    result, _, _ = swapped
    assert result.best_epoch < len(result.history)
    accuracies = [row["val_acc"] for row in result.history]
    assert result.best == result.history[result.best_epoch - 1]
    assert result.best["val_acc"] == max(accuracies)
    assert result.best["val_loss"] == min(r["val_loss"] for r in result.history if r["val_acc"] == max(accuracies))
    second = result.model(SWAPPED[0].astype(np.float32) / 255).numpy()[:, 0]
    loss = -np.log(np.where(SWAPPED[1], second, 1 - second)).mean()
    assert ((second > 0.5) == SWAPPED[1]).mean() == pytest.approx(result.best["val_acc"])
    assert loss == pytest.approx(result.best["val_loss"], rel=1e-4)


def test_each_epoch_is_a_line_where_there_is_no_terminal_and_is_reported(swapped):
    result, reported, lines = swapped
    assert reported == [result.history[:count] for count in (1, 2, 3, 4)]
    assert len(lines) == 4
    assert lines[0].startswith("epoch 1/4  ")
    assert lines[0].endswith("  best")
    assert all(f"  {key} " in lines[0] for key in ("acc", "loss", "val_acc", "val_loss"))
    assert max(map(len, lines)) < 100


@pytest.mark.slow
def test_patience_ends_a_training_that_gets_no_better():
    # At this step size the network cannot change; the first epoch stays the best.
    assert len(fit_tiny(lr=1e-30, patience=2).history) == 3
    assert len(fit_tiny(lr=1e-30).history) == 4


@pytest.mark.parametrize(
    ("accuracies", "patience", "over"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),  # equally good is not better
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.4, 0.4], 2, True),
        ([0.5, 0.4, 0.4], 3, False),
        ([0.5, 0.4, 0.4], None, False),
    ],
)
def test_patience_counts_from_the_best_epoch(accuracies, patience, over):
    history = [{"val_acc": accuracy, "val_loss": 1.0} for accuracy in accuracies]
    assert is_over(history, patience) is over


@pytest.mark.slow  # test_checkpoints.py has a fast test of the same claim
@pytest.mark.parametrize(
    ("build", "arithmetic"),
    [
        pytest.param(partial(build_tiny, 2, 0.5), "float32", id="tiny"),
        pytest.param(BOOKS, "float32", id="the book's"),
        pytest.param(BOOKS, "bfloat16", id="the book's in bfloat16"),
    ],
)
def test_a_seed_gives_the_same_weights_bit_for_bit(build, arithmetic):
    first, second, other = (fit_tiny(build=build, epochs=1, precision=arithmetic, seed=seed) for seed in (7, 7, 8))
    assert first.history == second.history
    pairs = list(zip(first.model.get_weights(), second.model.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert not np.array_equal(first.model.get_weights()[0], other.model.get_weights()[0])


@pytest.mark.slow
def test_the_kept_model_is_float32_whatever_it_was_trained_in():
    model = fit_tiny(epochs=1, precision="bfloat16").model
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_three_classes_learn_too():
    result = fit_tiny(bright_and_dark(30, 3), bright_and_dark(15, 3), classes=3, epochs=6)
    rows = predict_probabilities(result.model, VALIDATION[0])
    assert rows.shape == (12, 3)
    assert np.allclose(rows.sum(axis=1), 1)
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.slow
def test_a_training_that_diverges_is_stopped():
    with pytest.raises(DivergedError, match=r"became (nan|inf) in epoch \d at lr 1e\+30; lower `lr`"):
        fit_tiny(build=BOOKS, lr=1e30)


@pytest.mark.parametrize(("name", "loss"), [("loss", np.nan), ("loss", np.inf), ("validation loss", np.nan)])
def test_a_loss_that_is_no_number_names_epoch_and_rate(monkeypatch, name, loss):
    def pretend(model, *_, callbacks, **__):
        (watch,) = callbacks
        watch.on_epoch_begin(2)
        watch.on_train_batch_end(0, {"loss": loss if name == "loss" else 0.5})
        watch.on_epoch_end(2, {"acc": 0.5, "cross_entropy": 0.5, "val_acc": 0.5, "val_cross_entropy": loss})

    monkeypatch.setattr(keras.Model, "fit", pretend)
    with pytest.raises(DivergedError, match=rf"the {name} became {loss} in epoch 3 at lr 1e\+30; lower `lr`"):
        fit_tiny(lr=1e30)


def test_training_is_the_books(swapped):
    """RMSprop as in Keras' defaults, binary cross-entropy."""
    result, _, _ = swapped
    keras.utils.set_random_seed(7)
    model = build_tiny(2)
    optimizer = keras.optimizers.RMSprop(learning_rate=1e-3, rho=0.9, momentum=0.0)
    for pictures, labels in training_batches(*TRAIN, 8, 7).take(3 * result.best_epoch):
        with tf.GradientTape() as tape:
            loss = keras.losses.BinaryCrossentropy()(labels[:, None], model(pictures, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    pairs = zip(model.get_weights(), result.model.get_weights(), strict=True)
    assert all(np.allclose(ours, theirs, atol=1e-6) for ours, theirs in pairs)


@pytest.fixture
def compile_only(monkeypatch):
    """Return what the network of a fit is compiled with; no pictures are prepared, and none is trained on."""
    for name in ("training_batches", "evaluation_batches"):
        monkeypatch.setattr(fitting, name, Mock())
    compiled = Mock(wraps=keras.Model.compile)
    monkeypatch.setattr(keras.Model, "compile", lambda model, **options: compiled(model, **options))
    monkeypatch.setattr(keras.Model, "fit", Mock(side_effect=StopIteration))

    def begin(*subsets, **options):
        with pytest.raises(StopIteration):
            fit_tiny(*subsets, **options)
        return SimpleNamespace(**compiled.call_args.kwargs)

    return begin


def rate_after(optimizer, steps):
    optimizer.iterations.assign(steps)
    return float(optimizer.learning_rate)


def test_the_cosine_schedule_ends_at_zero_and_the_constant_one_does_not(compile_only):
    cosine, constant = compile_only(schedule="cosine").optimizer, compile_only().optimizer
    assert rate_after(cosine, 6) == pytest.approx(1e-3 / 2, rel=1e-3)
    assert rate_after(cosine, 11) > 1e-6
    assert rate_after(cosine, 12) == pytest.approx(0, abs=1e-9)  # after the last of its steps, not before or beyond
    assert rate_after(constant, 12) == pytest.approx(1e-3)


def test_the_step_size_first_rises_for_a_share_of_the_steps(compile_only):
    optimizer = compile_only(schedule="cosine", warmup=0.25).optimizer  # 3 of 12 steps
    rates = [rate_after(optimizer, step) for step in range(13)]
    assert rates[:4] == pytest.approx([0, 1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[12] == pytest.approx(0, abs=1e-9)
    optimizer = compile_only(schedule="cosine", warmup=0.99).optimizer  # only the last step falls
    assert rate_after(optimizer, 11) == pytest.approx(1e-3)


@pytest.mark.parametrize(("name", "kind"), [("adamw", keras.optimizers.AdamW), ("muon", KernelMuon)])
def test_some_optimizers_decay_the_weights(compile_only, name, kind):
    optimizer = compile_only(optimizer=name, weight_decay=0.25).optimizer
    assert isinstance(optimizer, kind)
    assert optimizer.weight_decay == 0.25
    optimizer = compile_only().optimizer
    assert isinstance(optimizer, keras.optimizers.RMSprop)
    assert not optimizer.weight_decay


@pytest.mark.slow
def test_label_smoothing_changes_what_is_trained_for_and_not_what_is_reported():
    options = {"epochs": 1, "lr": 1e-30, "schedule": "constant"}  # with this step size the weights stay as they are
    plain, smooth = (fit_tiny(label_smoothing=share, **options) for share in (0, 0.5))
    assert smooth.history == plain.history
    trained = [fit_tiny(label_smoothing=share).model.get_weights()[0] for share in (0, 0.5)]
    assert not np.array_equal(*trained)


def test_label_smoothing_spreads_a_share_over_all_classes(compile_only):
    two = compile_only(label_smoothing=0.3).loss
    three = compile_only(bright_and_dark(12, 3), bright_and_dark(6, 3), classes=3, label_smoothing=0.3).loss
    assert float(two([[1.0]], [[0.9]])) == pytest.approx(-0.85 * np.log(0.9) - 0.15 * np.log(0.1), rel=1e-5)
    expected = -0.8 * np.log(0.9) - 0.1 * np.log(0.05) - 0.1 * np.log(0.05)
    assert float(three([[1.0, 0, 0]], [[0.9, 0.05, 0.05]])) == pytest.approx(expected, rel=1e-5)
