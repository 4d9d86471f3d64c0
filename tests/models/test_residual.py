"""The residual network and its normalisation are what their docstrings say."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallvision.core.params import Recipe
from smallvision.models import residual
from smallvision.models.normalisation import FusedNormalisation, standard_layers
from smallvision.models.residual import _convolution, build_residual
from smallvision.training.fitting import fit
from smallvision.training.hooks import Hooks
from smallvision.training.recipe import NETWORKS
from tests.training.helpers import TRAIN, VALIDATION, make_plan


def test_sizes_halve():
    network = build_residual(128, 2)
    assert network.count_params() == 1_229_537
    shapes = [layer.output.shape[1:] for layer in network.layers if type(layer).__name__ == "Add"]
    assert shapes == [(32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 256)]
    assert network.output_shape == (None, 1)


@pytest.mark.parametrize("fixed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_both_ways_through_a_block_have_the_same_size_at_any_side(monkeypatch, fixed):
    if not fixed:
        monkeypatch.setattr(residual, "WIDTHS", (8, 16))  # the second block halves odd and even sides
    network = build_residual(None, 2)
    for side in (46, 47, 49, *([150] if fixed else [])):
        network = build_residual(side, 2) if fixed else network
        assert network(np.zeros((1, side, side, 3), np.float32)).shape == (1, 1)


def test_odd_and_even_sides_are_sampled_at_the_same_places():
    picture = np.random.default_rng(0).normal(size=(1, 9, 9, 4)).astype(np.float32)
    networks = []
    for side in (9, 8):
        features = keras.Input((side, side, 4))
        networks.append(keras.Model(features, _convolution(features, 5, stride=2)))
    networks[1].set_weights(networks[0].get_weights())
    odd, even = networks[0](picture), networks[1](picture[:, :8, :8])
    np.testing.assert_allclose(odd[:, :3, :3], even[:, :3, :3], atol=1e-6)


def test_every_network_has_a_name_in_the_parameters():
    assert set(get_args(Recipe.model_fields["network"].annotation)) == set(NETWORKS)


@pytest.mark.slow
def test_it_learns():
    plan = make_plan(epochs=6, precision="float32")
    result = fit(lambda: build_residual(46, 2, 0.1), TRAIN, VALIDATION, plan, Hooks())
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.history[result.best_epoch - 1]["val_acc"] > 0.5


def test_fused_normalisation_is_normalisation():
    """Outputs in training and afterwards, gradients and moving averages are all the same."""
    pictures = np.random.default_rng(0).normal(3, 2, (2, 3, 3, 5)).astype(np.float32)
    results = []
    for kind in (keras.layers.BatchNormalization, FusedNormalisation):
        layer = kind(momentum=0.9)
        layer.build(pictures.shape)
        layer.set_weights([np.linspace(0.5, 2, 5), np.linspace(-1, 1, 5), np.zeros(5), np.ones(5)])
        with tf.GradientTape() as tape:
            inputs = tf.constant(pictures)
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
        results.append([outputs, *gradients, *layer.get_weights(), layer(pictures, training=False)])
    for standard, fused in zip(*results, strict=True):
        np.testing.assert_allclose(fused, standard, rtol=1e-4, atol=1e-4)


def test_the_saved_network_is_keras_own_and_answers_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(residual, "WIDTHS", (8, 16))  # more blocks would take longer and be of the same two kinds
    generator = np.random.default_rng(0)
    network = build_residual(46, 3, 0.1)
    assert network.output_shape == (None, 3)
    for weight in network.weights:  # a training changes every weight, too
        weight.assign(weight + generator.uniform(0, 0.1, weight.shape))
    standard = standard_layers(network)
    standard.set_weights(network.get_weights())
    standard.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    pictures = generator.random((4, 46, 46, 3), np.float32)
    np.testing.assert_allclose(loaded(pictures), network(pictures), atol=1e-5)
