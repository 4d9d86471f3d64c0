"""Probabilities that mean what they say: of the answers given with 80%, 80% are right."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    import keras

# Smaller probabilities count as this one: float32, whose steps just below 1 are 6e-8, could not hold 1 - p.
SMALLEST = 1e-7
BOUNDS = (0.05, 20.0)  # least and greatest temperature


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature that makes the probabilities of validation pictures fit their labels.

    The temperature divides the logits: above 1 the network was too sure of itself. It minimises the cross-entropy with
    Platt's targets. If a class has n of the pictures and there are k classes, their targets are (n + 1) / (n + k) for
    that class and 1 / (n + k) for each other one. With targets of 1 and 0, a network that is right about every
    validation picture would get the temperature 0 and be certain of everything; with Platt's it is as sure as that many
    pictures allow.

    Args:
        probabilities: float `(n, classes)`, rows that sum to 1.
        labels: integer array `(n,)`.

    Returns:
        A number within `BOUNDS`; 1 if no other is better.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2; J. Platt, "Probabilistic
    Outputs for Support Vector Machines", 1999, section 2.2, for two classes.
    """
    logits = _logits(probabilities)
    count = logits.shape[1]
    sizes = np.bincount(labels, minlength=count)[labels, np.newaxis]
    targets = (np.eye(count)[labels] * sizes + 1) / (sizes + count)

    def cross_entropy(log_temperature: float) -> float:
        return float(-(targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    found = minimize_scalar(cross_entropy, bounds=np.log(BOUNDS), method="bounded")
    return float(np.exp(found.x)) if found.fun < cross_entropy(0) else 1.0


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities `(n, classes)` with their logits divided by the temperature, as float64."""
    scaled: np.ndarray = softmax(_logits(probabilities) / temperature, axis=1)
    return scaled


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), SMALLEST, 1))


def with_temperature(network: "keras.Model", temperature: float) -> "keras.Model":
    """Return a network whose probabilities are those of the given one at this temperature, as `scale` returns them.

    The predicted class stays the same.

    Args:
        network: a model to `(batch, 1)`, the probability of the second of two classes, or to `(batch, classes)`.
        temperature: a positive number.
    """
    import keras
    from keras import ops

    picture = keras.Input(network.input_shape[1:])
    outputs = network(picture)
    if network.output_shape[-1] == 1:
        outputs = ops.clip(outputs, SMALLEST, 1 - SMALLEST)
        outputs = ops.sigmoid((ops.log(outputs) - ops.log(1 - outputs)) / temperature)
    else:
        outputs = ops.softmax(ops.log(ops.clip(outputs, SMALLEST, 1)) / temperature)
    return keras.Model(picture, outputs)
