"""The trained model in LiteRT's format: `model.tflite`, one file with all that predicting needs, without TensorFlow.

The file starts with a network from RGB in [0, 255] to the probability of each class, or to features. A zip archive
follows that holds the class names (`labels.txt`) and the facts about the model (`model.json`). TFLite's own metadata
keeps associated files in the same place, and runtimes do not read that far.
"""

import hashlib
import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, first_line, printable, surroundings_of
from smallvision.core.files import replacing
from smallvision.models.facts import ModelFacts, facts_path, parse_facts, to_json
from smallvision.models.litert_network import AGAIN, Network
from smallvision.models.quiet_tensorflow import stderr_put_aside

if TYPE_CHECKING:
    import keras

LABELS, FACTS = "labels.txt", "model.json"  # names in the appended archive
TOLERANCE = 1e-3  # a float32 probability may differ from Keras' by this much
FEATURES_TOLERANCE = 1e-3  # a feature may differ by this share of the largest one


def prepare_for_export(network: "keras.Model") -> "keras.Model":
    """Return a network that other programs can use: from RGB in [0, 255] to the probability of each class."""
    import keras

    model = rescale_input(network)
    if network.output_shape[-1] > 1:
        return model
    (second,) = model.outputs
    return keras.Model(model.inputs, keras.ops.concatenate([1 - second, second], axis=1))


def rescale_input(network: "keras.Model") -> "keras.Model":
    """Return the network with an input in [0, 255] in place of [0, 1]."""
    import keras

    picture = keras.Input(network.input_shape[1:], name="picture")
    return keras.Model(picture, network(keras.layers.Rescaling(1 / 255)(picture)))


def convert(model: "keras.Model", representative: np.ndarray | None = None) -> bytes:
    """Convert a network to LiteRT's format.

    Args:
        model: a network that takes RGB in [0, 255], such as `prepare_for_export` and `rescale_input` return.
        representative: uint8 pictures on which the range of every tensor is measured, for int8 arithmetic; without
            them the network computes in float32.

    Returns:
        A TFLite flatbuffer: float32 `(n, size, size, 3)` in [0, 255] -> float32 `(n, outputs)`.

    Raises:
        InputError: LiteRT lacks an operation of the network.
    """
    import tensorflow as tf

    # Keras' own export goes through a SavedModel: it takes five times as long, and the network computes the same.
    # AutoGraph would look through all layers for Python code to translate, and there is none.
    function = tf.function(lambda picture: model(picture, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "picture"))
    with stderr_put_aside(), warnings.catch_warnings():
        # The warning is about the range of the inputs, but they stay float32.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        if representative is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[np.newaxis].astype(np.float32)] for row in representative)
        try:
            return bytes(converter.convert())
        # This is ConverterError, which has no public name, or whatever measuring the ranges for int8 raises.
        except Exception as error:
            if surroundings_of(error):
                raise
            raise InputError(
                f"LiteRT cannot take this network: {first_line(error)}; choose another `backbone`"
            ) from error


def write_litert(path: Path, network: bytes, facts: ModelFacts) -> ModelFacts:
    """Write a converted network with its class names and the facts about it.

    Returns:
        The facts, which now hold the hash of the network.
    """
    facts = replace(facts, litert=hashlib.sha256(network).hexdigest())
    # `ZipInfo` sets a fixed date, so equal networks make equal files.
    appended = io.BytesIO(network)
    with zipfile.ZipFile(appended, "a") as archive:
        texts = {LABELS: label_lines(facts), FACTS: to_json(facts)}
        if facts.features:
            del texts[LABELS]  # programs would take them for the names of the features
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    with replacing(path) as part:
        part.write_bytes(appended.getbuffer())
    return facts


def label_lines(facts: ModelFacts) -> str:
    """Return the class names as text, one per line."""
    return "".join(f"{printable(name)}\n" for name in facts.classes)


def save_litert(
    path: Path, network: "keras.Model", facts: ModelFacts, pictures: np.ndarray, expected: np.ndarray
) -> ModelFacts:
    """Convert a network in float32, compare its answers with the expected ones, and write it.

    Args:
        path: the file to write.
        network: the network.
        facts: the facts about it.
        pictures: uint8 `(n, size, size, 3)`, RGB.
        expected: the probabilities that the network gave for them in training, `(n, classes)`.

    Returns:
        The facts, which now hold the hash of the converted network.

    Raises:
        InputError: LiteRT cannot take the network, or its probabilities differ.
    """
    content = convert(prepare_for_export(network))
    require_near(Network(content, str(path)).probabilities(pictures), expected, str(path), "`backbone`")
    return write_litert(path, content, facts)


def read_litert(path: Path) -> tuple[Network, ModelFacts]:
    """Load a network that `write_litert` wrote, after checking its hash.

    Raises:
        InputError: the file is missing, damaged, not of this project, or not the one that the `model.json` beside it
            describes.
    """
    if path.suffix != ".tflite":
        raise InputError(f"{path}: expected a .tflite file, as `train` and `smallvision export` write")
    if not path.is_file():
        raise InputError(f"{path}: not found; `dvc repro train` makes it")
    content = path.read_bytes()
    length, facts = _read_appended(content, str(path))
    if hashlib.sha256(memoryview(content)[:length]).hexdigest() != facts.litert:
        raise InputError(f"{path}: damaged: not the network that its card describes; {AGAIN}")
    beside = facts_path(path)
    if beside.is_file() and parse_facts(beside.read_bytes(), str(beside)) != facts:
        raise InputError(f"{path}: not the model that {beside} describes; `dvc repro -f train` makes both")
    network = Network(content[:length], str(path))
    expected = (facts.image_size, facts.image_size, 3), (facts.features or len(facts.classes),)
    if network.shapes != expected:
        raise InputError(
            f"{path}: expected shapes {expected[0]} to {expected[1]}, as its card says, "
            f"received {network.shapes[0]} to {network.shapes[1]}; {AGAIN}"
        )
    return network, facts


def _read_appended(content: bytes, name: str) -> tuple[int, ModelFacts]:
    """Return how many bytes the network has, and the facts behind it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            length = min(info.header_offset for info in archive.infolist())
            # Only members stored without compression are taken, so none can be larger than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()) or archive.testzip():
                raise ValueError("its appended files are damaged")
            return length, parse_facts(archive.read(FACTS), f"{name}: {FACTS}")
    except InputError:
        raise
    # zipfile documents no complete list for damaged bytes: BadZipFile, KeyError, ValueError, RuntimeError, ... occur.
    except Exception as error:
        if surroundings_of(error):
            raise
        raise InputError(f"{name}: damaged, or not of this project ({error}); {AGAIN}") from None


def require_near(found: np.ndarray, expected: np.ndarray, name: str, remedy: str) -> float:
    """Return the largest difference between a probability and the one that Keras computes.

    Args:
        found: probabilities of the converted network, `(n, classes)`.
        expected: Keras' probabilities for the same pictures, `(n, classes)`.
        name: what the user calls the file, for the error message.
        remedy: what the user can change.

    Raises:
        InputError: the difference is more than `TOLERANCE`, or not a number.
    """
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"{name}: probabilities differ from Keras' by up to {difference:.2g}, more than {TOLERANCE:g}; "
            f"choose another {remedy}"
        )
    return difference


def require_near_features(found: np.ndarray, expected: np.ndarray, name: str) -> float:
    """Return the largest difference between a feature and the one that Keras computes, as a share of the largest one.

    The arguments are those of `require_near`, with features of any shape in place of probabilities.

    Raises:
        InputError: the difference is more than `FEATURES_TOLERANCE`, or not a number.
    """
    difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    if not difference <= FEATURES_TOLERANCE:
        raise InputError(
            f"{name}: features differ from Keras' by up to {difference:.2g} of the largest, "
            f"more than {FEATURES_TOLERANCE:g}; choose another `backbone`"
        )
    return difference
