"""Small networks, pictures and plans that the tests of this room share."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from smallvision.core.params import Recipe
from smallvision.models.convnet import output_layer
from smallvision.training.checkpoints import Checkpoints
from smallvision.training.fitting import Fit
from smallvision.training.hooks import Hooks
from smallvision.training.plan import Plan

SIZE = 46
RNG = np.random.default_rng(1)
# The fields of a plan for a quick training besides its recipe, unless a test sets others.
QUICK = {"batch_size": 8, "lr": 1e-3, "seed": 7, "image_size": SIZE, "precision": "float32", "device": "cpu",
         "class_weights": "none", "train_limit": None}  # fmt: skip


def make_plan(*, epochs: int = 4, augment=None, **settings) -> Plan:
    """A plan for a quick training. Settings that are not fields of the plan itself go to its recipe."""
    own = {name: settings.pop(name, value) for name, value in QUICK.items()}
    recipe = Recipe(epochs=epochs, augment=augment, **settings)
    return Plan(name="test", recipe=recipe, epochs=epochs, augment=augment, **own)


def bright_and_dark(count: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Classes that differ by brightness, so that a few steps learn something."""
    labels = np.arange(count) % classes
    noise = RNG.integers(0, 80, (count, SIZE, SIZE, 3))
    return (noise + labels[:, None, None, None] * (160 // (classes - 1))).astype(np.uint8), labels


TRAIN, VALIDATION = bright_and_dark(24), bright_and_dark(12)
SWAPPED = VALIDATION[0], 1 - VALIDATION[1]  # learning makes validation worse, so an early epoch is the best


def build_tiny(classes: int, dropout: float = 0) -> keras.Model:
    """Build a network that TensorFlow compiles in a fraction of the time that the book's takes."""
    below = [keras.Input((SIZE, SIZE, 3)), layers.AveragePooling2D(23), layers.Flatten()]
    return keras.Sequential(
        [*below, layers.Dense(8, activation="relu"), layers.Dropout(dropout), output_layer(classes)]
    )


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


def hooks_in(folder: Path | None) -> Hooks:
    return Hooks(Checkpoints(folder) if folder else None)


def end_after(epochs: int, training: Callable[[], object]) -> None:
    """End a training by Ctrl-C once as many states are written as `epochs` says."""
    save, saved = Checkpoints.save, []

    def save_and_end(self, state):
        save(self, state)
        saved.append(state)
        if len(saved) == epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            training()


def assert_equal(one: Fit, other: Fit) -> None:
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
