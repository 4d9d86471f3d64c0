"""Heads on frozen bases, and fine-tuning of exactly the layers asked for."""

from dataclasses import replace

import numpy as np
import pytest

from smallvision.core.errors import ParameterError
from smallvision.core.params import Augment
from smallvision.models import backbones
from smallvision.training import features, fitting, transfer
from smallvision.training.hooks import Hooks
from smallvision.training.transfer import find_cut, fit_on_base, unfrozen_layers
from tests.training.helpers import SIZE, bright_and_dark, make_base, make_plan


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


TRAIN, VALIDATION = bright_and_dark(24), bright_and_dark(12)
TOP = {"unfreeze": "two_conv", "finetune_lr": 1e-3}


def fit(base, train=TRAIN, validation=VALIDATION, classes=2, **settings):
    plan = make_plan(**{"epochs": 2, "lr": 1e-2, "backbone": "base.keras", "units": 4} | settings)
    return fit_on_base(base, train, validation, classes, plan, Hooks())


def accuracy(model, subset):
    predicted = model(subset[0].astype(np.float32) / 255).numpy()[:, 0] > 0.5
    return (predicted == subset[1]).mean()


@pytest.mark.parametrize("pooling", ["average", pytest.param("flatten", marks=pytest.mark.slow)])
def test_a_head_on_a_frozen_base_becomes_one_network_from_pictures(pooling):
    base = make_base()
    before = [np.array(weight) for weight in base.weights]
    result = fit(base, pooling=pooling, epochs=2)
    assert result.model.input_shape == (None, SIZE, SIZE, 3)
    assert result.model.output_shape == (None, 1)
    assert all(np.array_equal(a, b) for a, b in zip(before, base.weights, strict=True))
    assert accuracy(result.model, VALIDATION) == pytest.approx(result.history[result.best_epoch - 1]["val_acc"])
    assert len(result.history) == 2


@pytest.mark.slow
def test_more_than_two_classes():
    result = fit(make_base(), bright_and_dark(30, 3), bright_and_dark(15, 3), classes=3)
    assert result.model.output_shape == (None, 3)


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, Augment(flip=True)], ids=["from features", "from pictures"])
@pytest.mark.parametrize(
    ("unfreeze", "trained"), [("two_conv", {"two_conv"}), (4, {"two_conv"}), ("all", {"stem", "one_conv", "two_conv"})]
)
def test_fine_tuning_changes_exactly_the_unfrozen_layers(augment, unfreeze, trained):
    base = make_base()
    names = [layer.name for layer in base.layers]
    before = {layer.name: [np.array(weight) for weight in layer.weights] for layer in base.layers}
    fit(base, augment=augment, unfreeze=unfreeze, finetune_lr=1e-3, finetune_epochs=3)
    layers_changed = {
        name
        for name in names
        if not all(np.array_equal(a, b) for a, b in zip(before[name], base.get_layer(name).weights, strict=True))
    }
    # Batch normalisation stays as it is, including its moving statistics.
    assert layers_changed == trained


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, Augment(flip=True)])
def test_the_head_is_trained_on_unchanged_pictures_first(augment):
    alone = fit(make_base())
    history = fit(make_base(), augment=augment, **TOP, finetune_epochs=1).history
    assert [row["val_loss"] for row in history[:2]] == pytest.approx([row["val_loss"] for row in alone.history])


@pytest.mark.slow
def test_both_phases_are_in_the_history_and_the_best_epoch_of_both_is_kept():
    base = make_base()
    result = fit(base, epochs=3, **TOP, finetune_epochs=2)
    assert len(result.history) == 5
    ranks = [(row["val_acc"], -row["val_loss"]) for row in result.history]
    assert ranks[result.best_epoch - 1] == max(ranks)
    assert accuracy(result.model, VALIDATION) == pytest.approx(max(ranks)[0])


@pytest.mark.slow
def test_a_second_phase_that_makes_it_worse_is_undone(monkeypatch):
    base = make_base()
    before = [np.array(weight) for weight in base.get_layer("two_conv").weights]
    phases = []

    def spoiled_fit(*arguments):
        phases.append(fitting.fit(*arguments))
        if len(phases) == 2:  # pretend that the second phase made it worse
            worse = [row | {"val_acc": -1.0} for row in phases[1].history]
            return replace(phases[1], history=worse)
        return phases[0]

    monkeypatch.setattr(transfer, "fit", spoiled_fit)
    result = fit(base, epochs=3, **TOP, finetune_epochs=1)
    assert len(phases) == 2
    assert result.best_epoch == phases[0].best_epoch
    assert len(result.history) == 4
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_layer("two_conv").weights, strict=True))
    assert accuracy(result.model, VALIDATION) == pytest.approx(result.history[result.best_epoch - 1]["val_acc"])


def test_a_base_is_cut_where_no_residual_connection_crosses():
    base = make_base()
    assert find_cut(base, base.get_layer("two_conv")) is base.get_layer("one_add").output
    assert find_cut(base, base.get_layer("two_norm")) is base.get_layer("one_add").output
    assert find_cut(base, base.get_layer("one_conv")) is base.get_layer("stem").output
    assert find_cut(base, base.get_layer("stem")) is base.get_layer("scale").output


def test_a_saved_base_is_cut_at_the_same_place(tmp_path):
    make_base().save(tmp_path / "base.keras")
    base = backbones.build(str(tmp_path / "base.keras"), "imagenet", SIZE)
    assert find_cut(base, base.get_layer("two_conv")) is base.get_layer("one_add").output


def test_layers_that_are_not_there_are_named():
    with pytest.raises(ParameterError, match=r"unfreeze: the base has no layer 'three'; its last ones: .*two_add"):
        unfrozen_layers(make_base(), "three")
    with pytest.raises(ParameterError, match="no layer with weights among the last 1"):
        unfrozen_layers(make_base(), 1)


@pytest.mark.slow
def test_mirror_images_are_trained_on_too():
    base = make_base()
    both = features.compute_features(base, TRAIN[0], "pictures", mirror=True)
    assert np.allclose(both[:24], features.compute_features(base, TRAIN[0], "pictures"), atol=1e-6)
    mirrored = TRAIN[0][:, :, ::-1]
    assert np.allclose(both[24:], features.compute_features(base, mirrored, "pictures"), atol=1e-6)
    with_mirror, without = (fit(make_base(), mirror=mirror).history for mirror in (True, False))
    # Twice the pictures are twice the steps, so more is learned in an epoch.
    assert with_mirror[0]["val_loss"] < without[0]["val_loss"]
