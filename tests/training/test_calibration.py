"""The temperature is fitted on validation pictures, and built into the network."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from smallvision.models import keras_file
from smallvision.training.calibration import BOUNDS, fit_temperature, scale, with_temperature
from tests.models.helpers import build_small, probabilities_of

RNG = np.random.default_rng(1)


def draw(count, classes, temperature):
    """Labels, and probabilities that are off by a temperature from those the labels were drawn with."""
    logits = RNG.normal(scale=2, size=(count, classes))
    true = softmax(logits, axis=1)
    labels = np.array([RNG.choice(classes, p=row) for row in true])
    return softmax(logits * temperature, axis=1).astype(np.float32), labels


def cross_entropy(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_the_temperature_that_is_off_is_found(classes, temperature):
    assert fit_temperature(*draw(5000, classes, temperature)) == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize(
    ("right", "lowest", "highest"), [(1, 0.99, 0.999), (1 - 2**-24, 0.99, 0.999), (0.9, 0.99, 0.999), (0.5, 0.5, 0.5)]
)
def test_pictures_that_are_all_right_bear_out_no_certainty(right, lowest, highest):
    labels = np.repeat([0, 1], 200)
    probabilities = np.where(np.eye(2)[labels] > 0, right, 1 - right).astype(np.float32)
    temperature = fit_temperature(probabilities, labels)
    assert lowest <= scale(probabilities, temperature)[0, 0] <= highest


def test_probabilities_that_say_the_opposite_are_made_indifferent():
    labels = np.repeat([0, 1], 50)
    wrong = np.where(np.eye(2)[labels] > 0, 0.1, 0.9)
    assert fit_temperature(wrong, labels) == pytest.approx(BOUNDS[1], rel=1e-3)


def test_probabilities_without_information_stay():
    assert fit_temperature(np.full((10, 2), 0.5), np.repeat([0, 1], 5)) == 1


def test_a_class_without_validation_pictures_does_no_harm():
    probabilities, labels = draw(200, 2, 1)
    assert 0.3 < fit_temperature(np.hstack([probabilities, np.zeros((200, 1), np.float32)]), labels) < 3


def constant_network(outputs):
    """A network whose outputs are its inputs."""
    picture = keras.Input((outputs.shape[1],))
    return keras.Model(picture, picture * 1)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1, 2.5, 20])
def test_one_sigmoid_is_scaled_and_the_class_stays(temperature):
    outputs = np.array([0, 1e-30, 1e-6, 0.1, 0.4999, 0.5, 0.5001, 0.9, 1 - 1e-6, 1], np.float32)[:, np.newaxis]
    found = with_temperature(constant_network(outputs), temperature)(outputs).numpy()
    assert np.isfinite(found).all()
    assert ((found > 0.5) == (outputs > 0.5)).all()
    assert (np.diff(found[:, 0]) >= 0).all()
    middle = outputs[2:8].astype(np.float64)
    expected = 1 / (1 + ((1 - middle) / middle) ** (1 / temperature))
    assert np.allclose(found[2:8], expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1, 2.5, 20])
def test_a_softmax_is_scaled_and_the_class_stays(temperature):
    outputs = np.array([[1, 0, 0], [0.4, 0.3, 0.3], [1e-6, 0.1, 0.899999], [0.001, 0.998, 0.001]], np.float32)
    found = with_temperature(constant_network(outputs), temperature)(outputs).numpy()
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == outputs.argmax(axis=1)).all()
    powers = outputs[1:].astype(np.float64) ** (1 / temperature)
    assert np.allclose(found[1:], powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_temperature_is_saved_with_the_network(tmp_path, classes):
    keras.utils.set_random_seed(1)
    network = keras_file.average_over_mirror(build_small(46, classes))
    pictures = RNG.integers(0, 256, (5, 46, 46, 3), np.uint8)
    plain = probabilities_of(network, pictures)
    with_temperature(network, 0.25).save(tmp_path / "model.keras")
    scaled = probabilities_of(keras_file.load_safely(tmp_path / "model.keras"), pictures)
    assert np.allclose(scaled, plain**4 / (plain**4).sum(axis=1, keepdims=True), atol=1e-5)
    assert not np.allclose(scaled, plain, atol=1e-3)


def test_calibration_lowers_the_cross_entropy_of_other_pictures():
    probabilities, labels = draw(2000, 3, 3)
    temperature = fit_temperature(probabilities[:1000], labels[:1000])
    scaled = scale(probabilities[1000:], temperature)
    assert cross_entropy(scaled, labels[1000:]) < cross_entropy(probabilities[1000:], labels[1000:])
