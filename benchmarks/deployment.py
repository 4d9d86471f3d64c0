"""The trained model in each format: `python -m benchmarks.deployment rates|one|make MODEL PICTURES`.

`rates` prints sizes, latencies and pictures per second as JSON. Contenders run by turns, and the medians count. `one`
predicts one picture with Keras, as a process of its own would. `make` writes a model to measure: MobileNetV2 at 224
pixels, with a head, of random weights.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from benchmarks.kernels import by_turns
from smallvision.commands.export import size_of
from smallvision.core.params import Recipe
from smallvision.data.pictures.decoding import to_input
from smallvision.models.facts import ModelFacts, read_facts
from smallvision.models.inference import predict_probabilities
from smallvision.models.keras_file import load_model, save_model
from smallvision.models.litert import read_litert
from smallvision.models.litert_network import Network
from smallvision.serving.formats import FORMATS, export
from smallvision.serving.inputs import find, read
from smallvision.serving.prediction import decode_all, predict
from smallvision.training.calibration import with_temperature
from smallvision.training.transfer import freeze_and_pool, join

BATCH = 32  # pictures in a batch of Keras' `predict`
ONCE = 20  # pictures in one turn, one after the other


def make(path: Path) -> None:
    """Write a model as `train` would."""
    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None)
    pooled, head = freeze_and_pool(base, Recipe(epochs=1, backbone="MobileNetV2", units=256, dropout=0.5), 2)
    network = join(pooled, head.build())
    # This moves the probabilities away from 0.5, where rounding to int8 would change classes.
    network.layers[-1].layers[-1].bias.assign([1.0])
    save_model(
        path,
        with_temperature(network, 1.5),
        recipe="benchmark",
        source="drawn",
        pictures="",
        classes=["cat", "dog"],
        image_size=224,
        parameters={},
    )


def load(path: Path) -> tuple[keras.Model, ModelFacts]:
    facts = read_facts(path)
    return load_model(path, facts), facts


def decode(names: list[str], size: int) -> np.ndarray:
    return np.stack([to_input(read(name), size) for name in names])


def predict_one(model: Path, folder: Path) -> None:
    """Predict one picture with Keras."""
    network, facts = load(model)
    names = find([str(folder / "test")], allow_urls=False)[:1]
    print(predict_probabilities(network, decode(names, facts.image_size)))


def measure_rates(model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Measure sizes (MB), latencies of one decoded picture (ms), and files to answers (pictures per second)."""
    network, facts = load(model)
    names = find([str(folder / "test")], allow_urls=False)
    with tempfile.TemporaryDirectory() as temporary:
        outputs = {
            kind: Path(temporary, f"model_{kind}{ending}") for kind, ending in FORMATS.items() if kind != "features"
        }
        for kind, output in outputs.items():
            print(f"{kind}: {export(kind, network, facts, output, folder / 'train')}", file=sys.stderr)
        sizes = {kind: size_of(output) / 1e6 for kind, output in outputs.items()}
        lites = {kind: read_litert(outputs[kind])[0] for kind in ("litert", "litert_int8")}
        works = each_format(network, lites, outputs, decode(names[:1], facts.image_size))
        turns = {kind: repeated(work) for kind, work in works.items()}
        by_turns(turns, 1)  # compiles, and allocates memory
        latencies = {kind: 1000 / rate for kind, rate in by_turns(turns).items()}
        many = by_turns(
            {
                "predict": lambda: sum(1 for _ in predict(lites["litert"], facts, names, refuse)),
                "keras": lambda: predict_with_keras(network, facts, names),
            },
            3,
        )
    return {"MB": {"keras": model.stat().st_size / 1e6} | sizes, "ms": latencies, "pictures per second": many}


def each_format(
    network: keras.Model, lites: Mapping[str, Network], outputs: Mapping[str, Path], picture: np.ndarray
) -> dict[str, Callable[[], object]]:
    """Return for each format what predicts one picture, uint8 `(1, size, size, 3)`."""
    import onnxruntime
    import tensorflow as tf

    session = onnxruntime.InferenceSession(outputs["onnx"], providers=["CPUExecutionProvider"])
    loaded = tf.saved_model.load(outputs["saved_model"])
    as_float = picture.astype(np.float32)

    def run_saved_model() -> object:
        # Through `loaded`, because a signature does not keep its variables alive.
        return loaded.signatures["serving_default"](picture=tf.constant(as_float))["probabilities"].numpy()

    return {
        "keras": lambda: network.predict(as_float / 255, verbose=0),
        "saved_model": run_saved_model,
        "litert": lambda: lites["litert"].probabilities(picture),
        "litert_int8": lambda: lites["litert_int8"].probabilities(picture),
        "onnx": lambda: session.run(None, {"picture": as_float}),
    }


def repeated(work: Callable[[], object]) -> Callable[[], float]:
    """Return a turn that does the work for `ONCE` pictures, one after the other."""

    def turn() -> float:
        for _ in range(ONCE):
            work()
        return ONCE

    return turn


def refuse(name: str, error: Exception) -> None:
    raise ValueError(f"{name}: {error}")


def predict_with_keras(network: keras.Model, facts: ModelFacts, names: list[str]) -> int:
    """Predict with Keras' own `predict`, in batches. As many threads as ours decode the pictures."""
    pictures = [picture for _, picture in decode_all(names, facts.image_size)]
    return len(network.predict(np.stack(pictures).astype(np.float32) / 255, batch_size=BATCH, verbose=0))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    elif sys.argv[1] == "one":
        predict_one(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(json.dumps(measure_rates(Path(sys.argv[2]), Path(sys.argv[3]))))
