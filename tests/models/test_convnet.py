"""The convnet is the book's network, layer by layer."""

import keras
import pytest

from smallvision.models.convnet import build_convnet

# Chollet 2017, listing 5.6: layer, output (side, channels or units), parameters.
SUMMARY = [
    ("Conv2D", (148, 148, 32), 896),
    ("MaxPooling2D", (74, 74, 32), 0),
    ("Conv2D", (72, 72, 64), 18_496),
    ("MaxPooling2D", (36, 36, 64), 0),
    ("Conv2D", (34, 34, 128), 73_856),
    ("MaxPooling2D", (17, 17, 128), 0),
    ("Conv2D", (15, 15, 128), 147_584),
    ("MaxPooling2D", (7, 7, 128), 0),
    ("Flatten", (6272,), 0),
    ("Dense", (512,), 3_211_776),
    ("Dense", (1,), 513),
]


def test_every_layer_is_the_books():
    model = build_convnet(150, 2)
    found = [(type(layer).__name__, layer.output.shape[1:], layer.count_params()) for layer in model.layers]
    assert found == SUMMARY
    assert model.name == "convnet"
    assert model.count_params() == 3_453_121
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(layer.kernel_size == (3, 3) and layer.padding == "valid" for layer in convolutions)
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        *["relu"] * 5,
        "sigmoid",
    ]


def test_more_classes_get_a_softmax():
    model = build_convnet(64, 3)
    assert model.output_shape == (None, 3)
    assert model.layers[-1].activation.__name__ == "softmax"


def test_probabilities_are_float32_under_bfloat16():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = build_convnet(46, 2)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.layers[0].compute_dtype == "bfloat16"
    assert model.layers[-1].compute_dtype == "float32"


def test_46_pixels_are_the_least():
    assert build_convnet(46, 2).layers[-4].output.shape[1:] == (1, 1, 128)
    with pytest.raises(ValueError, match=r"negative|zero"):
        build_convnet(45, 2)
