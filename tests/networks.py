"""A network that several rooms' tests predict with."""

from pathlib import Path

import keras

from smallvision.models import litert
from smallvision.models.convnet import build_convnet
from tests.conftest import save_model

CLASSES = ["ant", "bee", "cow"]


def write_three_classes(folder: Path) -> tuple[keras.Model, Path]:
    """Write an untrained network of three classes for LiteRT; return it, and the file.

    Its last layer is scaled so that probabilities are spread. The file lies alone, without facts beside it.
    """
    keras.utils.set_random_seed(3)
    network = build_convnet(46, 3)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * 30, bias])
    facts = save_model(folder / "model.keras", network, classes=CLASSES)
    litert.write_litert(folder / "alone.tflite", litert.convert(litert.prepare_for_export(network)), facts)
    return network, folder / "alone.tflite"
