"""`python -m smallvision.export --format FORMAT OUTPUT`: the model for other programs.

Each takes float32 RGB in [0, 255], `(n, size, size, 3)`, and gives the probability of each class, or with
`--format features` the vector of `parts.to_features`; class names and card are inside. Each is compared
with the Keras model before it is put in place.
"""

import argparse
import importlib.util
import json
import shutil
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, ParameterError, SurroundingsError, UserError, run
from smallvision.core.files import replacing
from smallvision.models.keras_file import Card, load_model, probabilities, read_card
from smallvision.models.litert import Network, convert, deployable, from_bytes, label_lines, require_near, write_litert
from smallvision.models.quiet_tensorflow import import_tensorflow, stderr_put_aside
from smallvision.serving.inputs import find
from smallvision.serving.prediction import decoded

if TYPE_CHECKING:
    import keras

FORMATS = {"saved_model": "", "litert": ".tflite", "litert_int8": ".tflite", "onnx": ".onnx", "features": ".tflite"}
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")
COMPARED = 16  # pictures; of noise, where there are none
REPRESENTATIVE = 200  # pictures on which the ranges of int8 are measured, and as many others to compare on
INT8_TOLERANCE = 0.05  # mean difference of a probability
INT8_AGREEMENT = 0.9  # share of pictures that keep their class
FEATURES_TOLERANCE = 1e-3  # difference of a number, as a share of the largest


def export_saved_model(path: Path, network: "keras.Model", card: Card, pictures: np.ndarray) -> np.ndarray:
    """Write a SavedModel and return what it says of `pictures`.

    Its signature `serving_default` gives `probabilities` and `classes`; the latter and the card are in
    `assets.extra` too, where programs may keep files of their own.
    """
    import keras
    import tensorflow as tf

    model, names = deployable(network), tf.constant(card.classes)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda picture: {"probabilities": model(picture, training=False), "classes": names},
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "picture")],
    )
    archive.write_out(path, verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "labels.txt").write_text(label_lines(card), encoding="utf-8")
    (extra / "model.json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
    signature = tf.saved_model.load(path).signatures["serving_default"]
    answers: np.ndarray = signature(picture=tf.constant(pictures, tf.float32))["probabilities"].numpy()
    return answers


def export_onnx(path: Path, network: "keras.Model", card: Card, pictures: np.ndarray) -> np.ndarray:
    """Write an ONNX file, with `classes` and `card` as JSON in its metadata, and return what it says of `pictures`."""
    import keras
    import onnx
    import onnxruntime

    model = deployable(network)
    signature = [keras.InputSpec("float32", (None, *model.input_shape[1:]), name="picture")]
    with warnings.catch_warnings(), stderr_put_aside():
        warnings.simplefilter("ignore", FutureWarning)  # of np.object, which tf2onnx asks for
        model.export(path, format="onnx", verbose=False, input_signature=signature)
    content = onnx.load(path)
    onnx.helper.set_model_props(content, {"classes": json.dumps(card.classes), "card": json.dumps(asdict(card))})
    onnx.save(content, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {session.get_inputs()[0].name: pictures.astype(np.float32)})
    return np.asarray(answers)


def representative_pictures(folder: Path, image_size: int) -> np.ndarray:
    """Read up to twice `REPRESENTATIVE` pictures, spread evenly over a folder: uint8 `(n, size, size, 3)`.

    Raises:
        UserError: there is no such folder, or one of them cannot be read.
    """
    names = find([str(folder)], allow_urls=False)
    chosen = np.linspace(0, len(names) - 1, min(2 * REPRESENTATIVE, len(names))).astype(int)
    pictures = []
    for name, picture in decoded([names[index] for index in chosen], image_size):
        if isinstance(picture, UserError):
            raise type(picture)(f"{name}: {picture}")
        pictures.append(picture)
    return np.stack(pictures)


def check(kind: str, answers: np.ndarray, expected: np.ndarray, output: Path) -> str:
    """Compare probabilities with Keras', and say how near they are.

    Raises:
        InputError: not near enough.
    """
    if kind != "litert_int8":
        return f"differs from Keras by {require_near(answers, expected, str(output), 'format'):.1g} at most"
    differences = np.abs(answers - expected)
    same = float((answers.argmax(axis=1) == expected.argmax(axis=1)).mean())
    if not (differences.mean() <= INT8_TOLERANCE and same >= INT8_AGREEMENT):
        raise InputError(
            f"{output}: in int8 {same:.1%} of {len(answers)} pictures keep their class, and probabilities differ by "
            f"{differences.mean():.2g} on average; use --format litert"
        )
    return f"{same:.1%} of {len(answers)} pictures keep their class, mean difference {differences.mean():.1g}"


def export(kind: str, network: "keras.Model", card: Card, output: Path, pictures: Path) -> str:
    """Write the model in another format; say how near it is to Keras."""
    size = card.image_size
    shown = np.random.default_rng(0).integers(0, 256, (COMPARED, size, size, 3), np.uint8)
    if kind == "features":
        return export_features(network, card, output, shown)
    ranges = None
    if kind == "litert_int8":
        chosen = representative_pictures(pictures, size)
        ranges, shown = chosen[::2], chosen[1::2] if len(chosen) > 1 else chosen
    expected = probabilities(network, shown)
    if kind in ("litert", "litert_int8"):
        content = convert(deployable(network), ranges)
        lite = Network(content, str(output))
        found = check(kind, np.concatenate([lite.probabilities(row[np.newaxis]) for row in shown]), expected, output)
        write_litert(output, content, card)
    elif kind == "onnx":
        with replacing(output) as part:
            found = check(kind, export_onnx(part, network, card, shown), expected, output)
    else:
        part = output.with_name(f"part-{output.name}")
        shutil.rmtree(part, ignore_errors=True)
        try:
            found = check(kind, export_saved_model(part, network, card, shown), expected, output)
            part.rename(output)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return found


def export_features(network: "keras.Model", card: Card, output: Path, pictures: np.ndarray) -> str:
    """Write the part that makes features, for LiteRT; say how near it is to Keras.

    Raises:
        InputError: not near enough.
    """
    from smallvision.evaluation.network_parts import to_features
    from smallvision.models.inference import run_model

    model = to_features(network)
    content = convert(from_bytes(model))
    lite, expected = Network(content, str(output)), run_model(model, pictures)
    found = np.concatenate([lite.outputs(row[np.newaxis]) for row in pictures])
    difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    if not difference <= FEATURES_TOLERANCE:
        raise InputError(
            f"{output}: features differ from Keras' by up to {difference:.2g} of the largest, "
            f"more than {FEATURES_TOLERANCE:g}; choose another `backbone`"
        )
    write_litert(output, content, replace(card, features=expected.shape[1]))
    return f"{expected.shape[1]} numbers a picture, differ from Keras' by {difference:.1g} of the largest at most"


def size_of(output: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m smallvision.export", description="Write the model for others.")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the file, or for saved_model the folder, to write")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument(
        "--pictures",
        type=Path,
        default=Path("data/pictures/train"),
        help="folder of pictures to measure int8's ranges on (default: %(default)s)",
    )
    arguments = parser.parse_args()
    kind, output = arguments.format, arguments.output
    if output.suffix != FORMATS[kind] and kind != "saved_model":
        raise ParameterError(f"{output}: expected a name that ends in {FORMATS[kind]}")
    if kind == "saved_model" and output.exists():
        raise ParameterError(f"{output}: exists; remove it, or choose another name")
    if kind == "onnx" and (missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]):
        raise SurroundingsError(f"{', '.join(missing)}: not installed; `make setup` does it")
    card = read_card(arguments.model)
    import_tensorflow()
    network = load_model(arguments.model, card)
    found = export(kind, network, card, output, arguments.pictures)
    print(f"export: {output}: {size_of(output) / 1e6:.1f} MB, {found}")


if __name__ == "__main__":
    run("export", main)
