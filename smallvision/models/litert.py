"""The network for LiteRT: `model.tflite`, all that predicting takes in one file, and no TensorFlow.

The file is a network from RGB in [0, 255] to the probability of each class, or to features, with a zip archive behind
it that holds the class names (`labels.txt`) and the card (`model.json`). That is where TFLite's
metadata keeps associated files; runtimes do not read that far.
"""

import hashlib
import io
import json
import os
import warnings
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, printable
from smallvision.core.files import replacing
from smallvision.models.keras_file import Card, card_path, parse_card, probabilities
from smallvision.models.quiet_tensorflow import stderr_put_aside

if TYPE_CHECKING:
    import keras

LABELS, CARD = "labels.txt", "model.json"
TOLERANCE = 1e-3  # by which a float32 probability may differ from Keras'
AGAIN = "`dvc repro -f train` makes it again"


class Network:
    """A network in LiteRT's format, ready to run."""

    def __init__(self, content: bytes, name: str) -> None:
        """Load it.

        Args:
            content: a TFLite flatbuffer; what follows it is ignored.
            name: what the user calls it.

        Raises:
            InputError: it cannot be loaded.
        """
        from ai_edge_litert.interpreter import Interpreter

        with stderr_put_aside():
            try:
                self._interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
                self._interpreter.allocate_tensors()
                (self._input,), (self._output,) = (
                    self._interpreter.get_input_details(),
                    self._interpreter.get_output_details(),
                )
            # It raises ValueError or RuntimeError with what it found; memory it cannot get is no matter of the file.
            except (ValueError, RuntimeError) as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise InputError(f"{name}: cannot be loaded: {reason}; {AGAIN}") from None

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of one input and one output."""
        return tuple(self._input["shape_signature"][1:].tolist()), tuple(self._output["shape_signature"][1:].tolist())

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Predict the probability of each class.

        Args:
            pictures: uint8 `(n, size, size, 3)`, RGB, all of them at once in memory.

        Returns:
            float64 array `(n, classes)`, rows that sum to 1.
        """
        rows: np.ndarray = self.outputs(pictures).astype(np.float64)
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    def outputs(self, pictures: np.ndarray) -> np.ndarray:
        """Return what the network says as it is, float32 `(n, outputs)`: of one that `to_features` made, vectors."""
        index = self._input["index"]
        if len(pictures) != self._interpreter.get_input_details()[0]["shape"][0]:
            self._interpreter.resize_tensor_input(index, pictures.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(index, pictures.astype(np.float32))
        self._interpreter.invoke()
        outputs: np.ndarray = self._interpreter.get_tensor(self._output["index"])
        return outputs


def deployable(network: "keras.Model") -> "keras.Model":
    """Return the network as other programs want it: from RGB in [0, 255] to the probability of each class."""
    import keras

    model = from_bytes(network)
    if network.output_shape[-1] > 1:
        return model
    (second,) = model.outputs
    return keras.Model(model.inputs, keras.ops.concatenate([1 - second, second], axis=1))


def from_bytes(network: "keras.Model") -> "keras.Model":
    """Return a network that takes RGB in [0, 255] in place of [0, 1]."""
    import keras

    picture = keras.Input(network.input_shape[1:], name="picture")
    return keras.Model(picture, network(keras.layers.Rescaling(1 / 255)(picture)))


def convert(model: "keras.Model", representative: np.ndarray | None = None) -> bytes:
    """Convert a network.

    Args:
        model: takes RGB in [0, 255], as what `deployable` and `from_bytes` return.
        representative: uint8 pictures to measure the range of every tensor on, for int8 arithmetic; else float32.

    Returns:
        A TFLite flatbuffer: float32 `(n, size, size, 3)` in [0, 255] to float32 `(n, outputs)`.

    Raises:
        InputError: LiteRT lacks an operation of the network.
    """
    import tensorflow as tf

    # Keras' own export, by way of a SavedModel, takes five times as long and computes the same.
    function = tf.function(lambda picture: model(picture, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "picture"))
    with stderr_put_aside(), warnings.catch_warnings():
        # Of the ranges of inputs, which stay float32.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        if representative is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[np.newaxis].astype(np.float32)] for row in representative)
        try:
            return bytes(converter.convert())
        except MemoryError:
            raise
        # ConverterError, which has no public name, or what the calibration of int8 raises.
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"LiteRT cannot take this network: {reason}; choose another `backbone`") from error


def write_litert(path: Path, network: bytes, card: Card) -> Card:
    """Write a converted network with class names and card.

    Returns:
        The card, which now names the network.
    """
    card = replace(card, litert=hashlib.sha256(network).hexdigest())
    # The same names and dates for everyone, so that equal networks make equal files.
    appended = io.BytesIO(network)
    with zipfile.ZipFile(appended, "a") as archive:
        texts = {LABELS: label_lines(card), CARD: json.dumps(asdict(card), indent=1) + "\n"}
        if card.features:
            del texts[LABELS]  # which would name numbers
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    with replacing(path) as part:
        part.write_bytes(appended.getbuffer())
    return card


def label_lines(card: Card) -> str:
    """Return the class names, one a line."""
    return "".join(f"{printable(name)}\n" for name in card.classes)


def save_litert(path: Path, network: "keras.Model", card: Card, pictures: np.ndarray) -> Card:
    """Convert a network in float32, compare it with Keras on `pictures`, and write it.

    Returns:
        The card, which now names the converted network.

    Raises:
        InputError: it cannot be converted, or says something else.
    """
    content = convert(deployable(network))
    found = Network(content, str(path)).probabilities(pictures)
    require_near(found, probabilities(network, pictures), str(path), "`backbone`")
    return write_litert(path, content, card)


def read_litert(path: Path) -> tuple[Network, Card]:
    """Load a network that `write_litert` wrote, after checking its hash.

    Raises:
        InputError: it is not there, damaged, not of this project, or not the one that the card beside it describes.
    """
    if path.suffix != ".tflite":
        raise InputError(f"{path}: expected a .tflite file, as `train` and `python -m smallvision.export` write")
    if not path.is_file():
        raise InputError(f"{path}: not found; `dvc repro train` makes it")
    content = path.read_bytes()
    length, card = _read_appended(content, str(path))
    if hashlib.sha256(memoryview(content)[:length]).hexdigest() != card.litert:
        raise InputError(f"{path}: damaged: not the network that its card describes; {AGAIN}")
    beside = card_path(path)
    if beside.is_file() and parse_card(beside.read_bytes(), str(beside)) != card:
        raise InputError(f"{path}: not the model that {beside} describes; `dvc repro -f train` makes both")
    network = Network(content[:length], str(path))
    expected = (card.image_size, card.image_size, 3), (card.features or len(card.classes),)
    if network.shapes != expected:
        raise InputError(
            f"{path}: expected shapes {expected[0]} to {expected[1]}, as its card says, "
            f"received {network.shapes[0]} to {network.shapes[1]}; {AGAIN}"
        )
    return network, card


def _read_appended(content: bytes, name: str) -> tuple[int, Card]:
    """Return where the network ends, and the card behind it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            length = min(info.header_offset for info in archive.infolist())
            # Stored as they are, so no member can be larger than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()) or archive.testzip():
                raise ValueError("its appended files are damaged")
            return length, parse_card(archive.read(CARD), f"{name}: {CARD}")
    except InputError:
        raise
    # zipfile raises whatever damaged bytes lead it to (BadZipFile, KeyError, ValueError, RuntimeError, ...).
    except Exception as error:
        raise InputError(f"{name}: damaged, or not of this project ({error}); {AGAIN}") from None


def require_near(found: np.ndarray, expected: np.ndarray, name: str, remedy: str) -> float:
    """Return the largest difference of a probability from Keras'.

    Raises:
        InputError: it is more than `TOLERANCE`, or no number; the file is `name`, and `remedy` says what to choose.
    """
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"{name}: probabilities differ from Keras' by up to {difference:.2g}, more than {TOLERANCE:g}; "
            f"choose another {remedy}"
        )
    return difference
