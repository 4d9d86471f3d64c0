"""A frozen model computes what it does in Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from smallvision.models.inference import run_model

PICTURES = np.random.default_rng(1).integers(0, 256, (70, 16, 16, 3), np.uint8)  # more than two batches


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    )
    model.set_weights([np.random.default_rng(2).uniform(0.5, 1, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("mirror", [False, True])
def test_outputs_are_those_of_keras_in_order(model, mirror):
    shown = (PICTURES[:, :, ::-1] if mirror else PICTURES).astype(np.float32) / 255
    outputs = run_model(model, PICTURES, mirror=mirror)
    assert outputs.dtype == np.float32
    assert np.allclose(outputs, model(shown, training=False), rtol=1e-4, atol=1e-5)
    assert outputs.std() > 0.1
