"""Grad-CAM on networks whose answer depends on one corner of the picture, in every nesting that `train` saves."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import layers

from smallvision.core.params import Recipe
from smallvision.evaluation.gradcam import gradcam
from smallvision.models import convnet, residual
from smallvision.models.keras_file import average_over_mirror
from smallvision.models.normalisation import standard_layers
from smallvision.models.residual import WIDTHS
from smallvision.training.recipe import NETWORKS as PROJECT
from smallvision.training.transfer import freeze_and_pool, join

SIZE, CELLS = 48, 6
BRIGHT = np.full((2, SIZE, SIZE, 3), 200, np.uint8)


def flat_network(classes: int) -> keras.Model:
    """A convnet whose output layer has weights for the upper left feature only."""
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(4, 8, strides=8, kernel_initializer="ones"),
            layers.Flatten(),
            layers.Dropout(0.5),
            convnet.output_layer(classes),
        ]
    )
    kernel, bias = (np.zeros(weight.shape) for weight in network.layers[-1].get_weights())
    kernel[:4, -1] = 0.01
    network.layers[-1].set_weights([kernel, bias])
    return network


def joined_network(classes: int, units: int = 3) -> keras.Model:
    """A base whose feature maps are empty except in the upper left corner, pooled, and a head."""
    corner = np.zeros((CELLS, CELLS, 1), np.float32)
    corner[0, 0] = 1
    picture = keras.Input((SIZE, SIZE, 3))
    maps = layers.Conv2D(4, 8, strides=8, kernel_initializer="ones", name="stem")(picture)
    base = keras.Model(picture, keras.ops.multiply(maps, corner), name="base")
    base, built = freeze_and_pool(base, Recipe(epochs=1, backbone="base", units=units, dropout=0.5), classes)
    head = built.build()
    for layer in head.layers:
        if layer.weights:
            layer.set_weights([np.full(layer.kernel.shape, 0.01), np.zeros(layer.bias.shape)])
    if classes > 2:
        head.layers[-1].set_weights([np.eye(layer.kernel.shape[0], classes, classes - units), layer.bias.numpy()])
    return join(base, head)


def cooled(network: keras.Model) -> keras.Model:
    """The network with a temperature around it: its log-probabilities are divided and normalised again."""
    picture = keras.Input(network.input_shape[1:])
    output = keras.ops.clip(network(picture), 1e-7, 1 - 1e-7)
    if network.output_shape[-1] == 1:
        return keras.Model(picture, keras.ops.sigmoid(keras.ops.log(output / (1 - output)) / 2))
    return keras.Model(picture, keras.ops.softmax(keras.ops.log(output) / 2))


NETWORKS = {
    "flat, 2 classes": lambda: flat_network(2),
    "flat, 3 classes": lambda: flat_network(3),
    "joined, 2 classes": lambda: joined_network(2),
    "joined, 3 classes": lambda: joined_network(3),
    "joined, as many classes as features": lambda: joined_network(4),
    "joined, no hidden layer": lambda: joined_network(2, units=0),
}
AROUND = {
    "alone": lambda network: network,
    "mirror": average_over_mirror,
    "temperature": cooled,
    "both": lambda network: cooled(average_over_mirror(network)),
}


FAST = list(zip(NETWORKS, [*AROUND, "alone", "mirror"], strict=True))  # every kind and every wrapping occurs once
COMBINED = [
    pytest.param(kind, around, marks=[] if (kind, around) in FAST else pytest.mark.slow)
    for kind, around in product(NETWORKS, AROUND)
]


@pytest.mark.parametrize(("kind", "around"), COMBINED)
def test_heat_lies_where_the_answer_comes_from(kind, around, tmp_path):
    network = AROUND[around](NETWORKS[kind]())
    last = max(network.output_shape[-1] - 1, 1)
    network.save(tmp_path / "model.keras")
    for model in (network, keras.saving.load_model(tmp_path / "model.keras", compile=False)):
        heat = gradcam(model, BRIGHT, np.array([last, last]))
        assert heat.dtype == np.float32
        assert heat.shape == (2, SIZE, SIZE)
        assert (heat >= 0).all()
        assert heat.max() == 1
        cell = SIZE // CELLS
        upper, far = heat[0, :cell], heat[0, 2 * cell :]
        assert upper[:, :cell].mean() > 0.5
        assert (far == 0).all()
        if around in ("mirror", "both"):
            np.testing.assert_allclose(heat, heat[:, :, ::-1], atol=1e-6)
        else:
            assert (upper[:, 2 * cell :] == 0).all()


def test_what_speaks_for_one_of_two_classes_speaks_against_the_other():
    heat = gradcam(flat_network(2), BRIGHT, np.array([1, 0]))
    assert heat[0].max() == 1
    assert (heat[1] == 0).all()


def test_a_sure_network_is_explained_too():
    """Its output is 1 in float32, so the gradient of the output itself is 0."""
    network = flat_network(2)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, bias + 200])
    assert network(BRIGHT / np.float32(255))[0, 0] == 1
    assert gradcam(network, BRIGHT, np.array([1, 1]))[0].max() == 1


def test_it_is_grad_cam_where_the_feature_maps_are_averaged():
    """It equals the paper's formula, which weights the channels with their mean gradients."""
    keras.utils.set_random_seed(3)
    convolution = layers.Conv2D(5, 8, strides=8, activation="relu")
    output = layers.Dense(3, activation="softmax")
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), convolution, layers.GlobalAveragePooling2D(), output])
    pictures = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    chosen = np.array([0, 1, 2, 0])
    of_picture = np.asarray(convolution(pictures / np.float32(255)))
    slopes = output.kernel.numpy().T[chosen] / CELLS**2
    expected = np.maximum(np.einsum("nhwc,nc->nhw", of_picture, slopes), 0)
    heat = gradcam(network, pictures, chosen)
    middles = heat[:, 3::8, 3::8] + heat[:, 4::8, 4::8]
    assert (
        np.corrcoef(middles.ravel(), (expected / np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-9)).ravel())[
            0, 1
        ]
        > 0.98
    )


OTHERS = [
    ("convnet", 2, 0.5, WIDTHS), ("convnet", 5, 0, WIDTHS), ("residual", 2, 0.5, WIDTHS), ("residual", 5, 0, WIDTHS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "classes", "dropout", "widths"),
    [("residual", 5, 0, WIDTHS[:2]), *(pytest.param(*other, marks=pytest.mark.slow) for other in OTHERS)],
)
def test_networks_of_the_project_are_explained(name, classes, dropout, widths, tmp_path, monkeypatch):
    monkeypatch.setattr(residual, "WIDTHS", widths)
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (3, 46, 46, 3), np.uint8)
    # With other seeds, nothing in these pictures may speak for a class, because the network is not trained.
    keras.utils.set_random_seed(0)
    average_over_mirror(standard_layers(PROJECT[name](46, classes, dropout))).save(tmp_path / "model.keras")
    network = keras.models.load_model(tmp_path / "model.keras", compile=False)
    heat = gradcam(network, pictures, np.array([0, 1, classes - 1]))
    assert heat.shape == (3, 46, 46)
    assert np.isfinite(heat).all()
    assert heat.any()
