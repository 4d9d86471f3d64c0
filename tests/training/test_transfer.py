"""Heads on frozen bases, fine-tuning of exactly the layers asked for, and features kept between runs."""

import pwd
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from smallvision.core.errors import ParameterError
from smallvision.core.params import Augment
from smallvision.models import backbones
from smallvision.training import features, fitting, transfer
from smallvision.training.transfer import Head, Top, find_cut, fit_on_base, unfrozen_layers

SIZE = 46
RNG = np.random.default_rng(2)
OPTIONS = {"epochs": 2, "batch_size": 8, "lr": 1e-2, "seed": 7, "precision": "float32"}
HEAD = Head(pooling="average", units=4, dropout=0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_base() -> keras.Model:
    """A small residual network."""
    keras.utils.set_random_seed(1)
    picture = keras.Input((SIZE, SIZE, 3), name="picture")
    x = layers.Rescaling(2.0, -1.0, name="scale")(picture)
    x = layers.Conv2D(8, 3, strides=4, name="stem")(x)
    for block in ("one", "two"):
        shortcut = x
        x = layers.Conv2D(8, 3, padding="same", name=f"{block}_conv")(x)
        x = layers.BatchNormalization(name=f"{block}_norm")(x)
        x = layers.ReLU(name=f"{block}_relu")(x)
        x = layers.Add(name=f"{block}_add")([x, shortcut])
    return keras.Model(picture, x, name="base")


def pictures(count, classes=2):
    labels = np.arange(count) % classes
    noise = RNG.integers(0, 90, (count, SIZE, SIZE, 3))
    return (noise + labels[:, None, None, None] * (150 // (classes - 1))).astype(np.uint8), labels


TRAIN, VALIDATION = pictures(24), pictures(12)


def fit(
    base, train=TRAIN, validation=VALIDATION, classes=2, head=HEAD, mirror=False, augment=None, top=None, **options
):
    return fit_on_base(
        base, head, train, validation, classes, mirror=mirror, augment=augment, top=top, **OPTIONS | options
    )


def weights(model):
    return {weight.path.split("/", 1)[-1]: np.array(weight) for layer in model.layers for weight in layer.weights}


def changed(before, after):
    return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}


def accuracy(model, subset):
    predicted = model.predict(subset[0].astype(np.float32) / 255, verbose=0)[:, 0] > 0.5
    return (predicted == subset[1]).mean()


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_a_head_on_a_frozen_base_becomes_one_network_from_pictures(pooling):
    base = make_base()
    before = [np.array(weight) for weight in base.weights]
    result = fit(base, head=Head(pooling, units=4, dropout=0.0), epochs=4)
    assert result.model.input_shape == (None, SIZE, SIZE, 3)
    assert result.model.output_shape == (None, 1)
    assert all(np.array_equal(a, b) for a, b in zip(before, base.weights, strict=True))
    assert accuracy(result.model, VALIDATION) == pytest.approx(result.history[result.best_epoch - 1]["val_acc"])
    assert len(result.history) == 4


@pytest.mark.slow
def test_more_than_two_classes():
    result = fit(make_base(), pictures(30, 3), pictures(15, 3), classes=3)
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
    fit(base, augment=augment, top=Top(unfreeze, lr=1e-3, epochs=3))
    layers_changed = {
        name
        for name in names
        if not all(np.array_equal(a, b) for a, b in zip(before[name], base.get_layer(name).weights, strict=True))
    }
    # Batch normalisation stays, its moving statistics included.
    assert layers_changed == trained


@pytest.mark.slow
@pytest.mark.parametrize("augment", [None, Augment(flip=True)])
def test_the_head_is_trained_on_unchanged_pictures_first(augment):
    alone = fit(make_base())
    history = fit(make_base(), augment=augment, top=Top("two_conv", lr=1e-3, epochs=1)).history
    assert [row["val_loss"] for row in history[:2]] == pytest.approx([row["val_loss"] for row in alone.history])


@pytest.mark.slow
def test_both_phases_are_in_the_history_and_the_best_epoch_of_both_is_kept():
    base = make_base()
    result = fit(base, epochs=3, top=Top("two_conv", lr=1e-3, epochs=2))
    assert len(result.history) == 5
    ranks = [(row["val_acc"], -row["val_loss"]) for row in result.history]
    assert ranks[result.best_epoch - 1] == max(ranks)
    assert accuracy(result.model, VALIDATION) == pytest.approx(max(ranks)[0])


@pytest.mark.slow
def test_a_second_phase_that_makes_it_worse_is_undone(monkeypatch):
    base = make_base()
    before = [np.array(weight) for weight in base.get_layer("two_conv").weights]
    phases = []

    def spoiled_fit(build, *data, **options):
        phases.append(fitting.fit(build, *data, **options))
        if len(phases) == 2:  # as if it had gone wrong
            worse = [row | {"val_acc": -1.0} for row in phases[1].history]
            return replace(phases[1], history=worse)
        return phases[0]

    monkeypatch.setattr(transfer, "fit", spoiled_fit)
    result = fit(base, epochs=3, top=Top("two_conv", lr=1e-3, epochs=1))
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
    both = features.compute_features(base, TRAIN[0], mirror=True)
    assert np.allclose(both[:24], features.compute_features(base, TRAIN[0]), atol=1e-6)
    assert np.allclose(both[24:], features.compute_features(base, TRAIN[0][:, :, ::-1]), atol=1e-6)
    with_mirror, without = (fit(make_base(), mirror=mirror).history for mirror in (True, False))
    # Twice the pictures are twice the steps, so more is learned in an epoch.
    assert with_mirror[0]["val_loss"] < without[0]["val_loss"]


def test_features_are_computed_once(monkeypatch):
    base = make_base()
    first = features.compute_features(base, TRAIN[0])
    monkeypatch.setattr(features, "run_model", lambda *_, **__: pytest.fail("computed again"))
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)


@pytest.mark.parametrize("change", ["weights", "layers", "pixels", "order"])
def test_features_of_something_else_are_never_taken(change):
    base, inputs = make_base(), TRAIN[0].copy()
    first = features.compute_features(base, inputs)
    if change == "weights":
        base.get_layer("two_conv").bias.assign_add(np.full(8, 0.25, np.float32))
    if change == "layers":
        base.get_layer("two_relu").negative_slope = 0.5
        base = keras.Model.from_config(base.get_config())
        base.set_weights(make_base().get_weights())
    if change == "pixels":
        inputs[0, 0, 0, 0] ^= 0xFF
    if change == "order":
        inputs = inputs[::-1].copy()
    second = features.compute_features(base, inputs)
    assert not np.array_equal(first, second)
    assert np.allclose(second, base.predict(inputs.astype(np.float32) / 255, verbose=0), atol=1e-5)


def test_a_cache_that_cannot_be_used_costs_only_time(cache, capsys):
    cache.write_text("a file where the folder should be")
    assert features.compute_features(make_base(), TRAIN[0]).shape == (24, 11, 11, 8)
    assert "features are not kept" in capsys.readouterr().err


def test_a_user_without_a_home_folder_has_no_cache(monkeypatch, capsys):
    def no_entry(_):
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert features.compute_features(make_base(), TRAIN[0]).shape == (24, 11, 11, 8)
    assert "features are not kept: could not determine the home directory" in capsys.readouterr().err


def test_what_fails_in_computing_is_not_taken_for_a_broken_cache(monkeypatch, capsys):
    calls = []

    def fail(*_, **__):
        calls.append(1)
        raise ValueError("a bug")

    monkeypatch.setattr(features, "run_model", fail)
    with pytest.raises(ValueError, match="a bug"):
        features.compute_features(make_base(), TRAIN[0])
    assert calls == [1]
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_is_computed_again(cache, monkeypatch):
    first = features.compute_features(make_base(), TRAIN[0])
    for path in cache.rglob("*.val"):
        path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)
    monkeypatch.setattr(features, "run_model", lambda *_, **__: pytest.fail("not kept again"))
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)
