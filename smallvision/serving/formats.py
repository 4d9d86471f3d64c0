"""A trained network in the formats of other programs. Each file is compared with Keras before it is put in place.

Each format takes float32 RGB in [0, 255], `(n, size, size, 3)`, and returns the probability of each class, or for
`features` the vector of `network_parts.to_features`. Class names and facts about the model are inside. `pictures`, on
which both are compared, are uint8 `(n, size, size, 3)`, RGB.
"""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, UserError, first_line, surroundings_of
from smallvision.core.files import replacing
from smallvision.models.facts import ModelFacts, to_json
from smallvision.models.inference import predict_probabilities, run_model
from smallvision.models.litert import (
    convert,
    label_lines,
    prepare_for_export,
    require_near,
    require_near_features,
    rescale_input,
    write_litert,
)
from smallvision.models.litert_network import Network
from smallvision.models.quiet_tensorflow import stderr_put_aside
from smallvision.serving.inputs import find
from smallvision.serving.prediction import decode_all

if TYPE_CHECKING:
    import keras

# Each format with the ending of its file; a SavedModel is a folder.
FORMATS = {"saved_model": "", "litert": ".tflite", "litert_int8": ".tflite", "onnx": ".onnx", "features": ".tflite"}
COMPARED = 16  # pictures of noise on which a format is compared with Keras
REPRESENTATIVE = 200  # pictures on which int8's ranges are measured, and as many others on which it is compared
INT8_TOLERANCE = 0.05  # mean difference of a probability
INT8_AGREEMENT = 0.9  # share of pictures that keep their class


def export(kind: str, network: "keras.Model", facts: ModelFacts, output: Path, pictures: Path) -> str:
    """Write the model in another format and return a sentence about how near it is to Keras.

    Args:
        kind: a key of `FORMATS`.
        network: a network that `train` saved.
        facts: the facts about it.
        output: the file or folder to write.
        pictures: folder of pictures on which int8's ranges are measured; the other formats need none.

    Raises:
        UserError: the network cannot be converted, the result differs too much from Keras, or a picture cannot be read.
    """
    if kind == "litert_int8":
        return export_int8(network, facts, output, pictures)
    shape = (COMPARED, facts.image_size, facts.image_size, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    writers = {
        "litert": export_litert,
        "features": export_features,
        "onnx": export_onnx,
        "saved_model": export_saved_model,
    }
    return writers[kind](network, facts, output, noise)


def export_litert(network: "keras.Model", facts: ModelFacts, output: Path, pictures: np.ndarray) -> str:
    """Write the network for LiteRT in float32."""
    expected = predict_probabilities(network, pictures)
    content = convert(prepare_for_export(network))
    found = compare(Network(content, str(output)).probabilities(pictures), expected, output)
    write_litert(output, content, facts)
    return found


def export_int8(network: "keras.Model", facts: ModelFacts, output: Path, folder: Path) -> str:
    """Write the network for LiteRT in int8. Half of the pictures in `folder` measure the ranges, half are compared."""
    chosen = representative_pictures(folder, facts.image_size)
    ranges, shown = chosen[::2], chosen[1::2] if len(chosen) > 1 else chosen
    expected = predict_probabilities(network, shown)
    content = convert(prepare_for_export(network), ranges)
    found = compare_int8(Network(content, str(output)).probabilities(shown), expected, output)
    write_litert(output, content, facts)
    return found


def export_saved_model(network: "keras.Model", facts: ModelFacts, output: Path, pictures: np.ndarray) -> str:
    """Write a SavedModel. Its signature `serving_default` returns `probabilities` and `classes`."""
    expected = predict_probabilities(network, pictures)
    part = output.with_name(f"part-{output.name}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        found = compare(_write_saved_model(part, network, facts, pictures), expected, output)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


def _write_saved_model(path: Path, network: "keras.Model", facts: ModelFacts, pictures: np.ndarray) -> np.ndarray:
    """Write the folder and return the probabilities that it gives for `pictures`."""
    import keras
    import tensorflow as tf

    model, names = prepare_for_export(network), tf.constant(facts.classes)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda picture: {"probabilities": model(picture, training=False), "classes": names},
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "picture")],
    )
    archive.write_out(path, verbose=False)
    extra = path / "assets.extra"  # the place for files that a program adds to a SavedModel
    extra.mkdir()
    (extra / "labels.txt").write_text(label_lines(facts), encoding="utf-8")
    (extra / "model.json").write_text(to_json(facts), encoding="utf-8")
    signature = tf.saved_model.load(path).signatures["serving_default"]
    probabilities: np.ndarray = signature(picture=tf.constant(pictures, tf.float32))["probabilities"].numpy()
    return probabilities


def export_onnx(network: "keras.Model", facts: ModelFacts, output: Path, pictures: np.ndarray) -> str:
    """Write an ONNX file with the class names and the facts as JSON in its metadata, `classes` and `card`."""
    expected = predict_probabilities(network, pictures)
    with replacing(output) as part:
        try:
            found = _write_onnx(part, prepare_for_export(network), facts, pictures)
        # The errors of tf2onnx and of ONNX Runtime have no class in common.
        except Exception as error:
            if surroundings_of(error):
                raise
            raise InputError(
                f"{output}: ONNX cannot take this network: {first_line(error)}; use --format litert or saved_model"
            ) from error
        return compare(found, expected, output)


def _write_onnx(path: Path, model: "keras.Model", facts: ModelFacts, pictures: np.ndarray) -> np.ndarray:
    """Write the file and return the probabilities that it gives for `pictures`."""
    import keras
    import onnx
    import onnxruntime

    signature = [keras.InputSpec("float32", (None, *model.input_shape[1:]), name="picture")]
    with warnings.catch_warnings(), stderr_put_aside():
        warnings.simplefilter("ignore", FutureWarning)  # tf2onnx uses np.object, which NumPy warns about
        model.export(path, format="onnx", verbose=False, input_signature=signature)
    content = onnx.load(path)
    onnx.helper.set_model_props(content, {"classes": json.dumps(facts.classes), "card": to_json(facts, one_line=True)})
    onnx.save(content, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: pictures.astype(np.float32)})
    return np.asarray(probabilities)


def export_features(network: "keras.Model", facts: ModelFacts, output: Path, pictures: np.ndarray) -> str:
    """Write the part of the network that makes features, for LiteRT."""
    from smallvision.evaluation.network_parts import to_features

    model = to_features(network)
    content = convert(rescale_input(model))
    found, expected = Network(content, str(output)).outputs(pictures), run_model(model, pictures)
    difference = require_near_features(found, expected, str(output))
    write_litert(output, content, replace(facts, features=expected.shape[1]))
    return f"{expected.shape[1]} numbers a picture, differ from Keras' by {difference:.1g} of the largest at most"


def representative_pictures(folder: Path, image_size: int) -> np.ndarray:
    """Read up to twice `REPRESENTATIVE` pictures, spread evenly over a folder: uint8 `(n, size, size, 3)`.

    Raises:
        UserError: there is no such folder, or a picture cannot be read.
    """
    names = find([str(folder)], allow_urls=False)
    chosen = np.linspace(0, len(names) - 1, min(2 * REPRESENTATIVE, len(names))).astype(int)
    pictures = []
    for name, picture in decode_all([names[index] for index in chosen], image_size):
        if isinstance(picture, UserError):
            raise type(picture)(f"{name}: {picture}")
        pictures.append(picture)
    return np.stack(pictures)


def compare(found: np.ndarray, expected: np.ndarray, output: Path) -> str:
    """Compare the probabilities `(n, classes)` of a float32 format with those of Keras, and say how near they are.

    Raises:
        InputError: a probability differs by more than the tolerance.
    """
    return f"differs from Keras by {require_near(found, expected, str(output), 'format'):.1g} at most"


def compare_int8(found: np.ndarray, expected: np.ndarray, output: Path) -> str:
    """Compare the probabilities `(n, classes)` of the int8 format with those of Keras, and say how near they are.

    Raises:
        InputError: too many pictures change their class, or the probabilities differ too much.
    """
    differences = np.abs(found - expected)
    same = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    if not (differences.mean() <= INT8_TOLERANCE and same >= INT8_AGREEMENT):
        raise InputError(
            f"{output}: in int8 {same:.1%} of {len(found)} pictures keep their class, and probabilities differ by "
            f"{differences.mean():.2g} on average; use --format litert"
        )
    return f"{same:.1%} of {len(found)} pictures keep their class, mean difference {differences.mean():.1g}"
