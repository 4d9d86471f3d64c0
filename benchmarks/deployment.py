"""The trained model in each format: `python -m benchmarks.deployment rates|one|make MODEL PICTURES`.

`rates` prints sizes, latencies and pictures per second as JSON; what is compared runs by turns, and the
medians count. `one` predicts one picture with Keras, as a process of its own would. `make` writes a
model to measure: MobileNetV2 at 224 pixels, with a head, of random weights.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from benchmarks.kernels import by_turns
from smallvision.commands import export
from smallvision.data.pictures.decoding import to_input
from smallvision.models.litert import read_litert
from smallvision.serving.inputs import find, read
from smallvision.training import calibration, transfer

BATCH = 32  # of Keras' `predict`
ONCE = 20  # pictures a turn, one after the other


def make(path: Path) -> None:
    """Write a model as `train` would."""
    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None)
    head = transfer.Head("average", 256, 0.5)
    pooled = head.pool(base)
    network = transfer.join(pooled, head.build(pooled.output_shape[-1], 2))
    # Away from 0.5, where rounding to int8 would change classes.
    network.layers[-1].layers[-1].bias.assign([1.0])
    modelfile.save_model(
        path,
        calibration.with_temperature(network, 1.5),
        recipe="benchmark",
        source="drawn",
        pictures="",
        classes=["cat", "dog"],
        image_size=224,
        parameters={},
    )


def load(path: Path) -> tuple[keras.Model, modelfile.Card]:
    card = modelfile.read_card(path)
    return modelfile.load_model(path, card), card


def decode(names: list[str], size: int) -> np.ndarray:
    return np.stack([to_input(read(name), size) for name in names])


def one(model: Path, folder: Path) -> None:
    """Predict one picture with Keras."""
    network, card = load(model)
    print(modelfile.probabilities(network, decode(find([str(folder / "test")], allow_urls=False)[:1], card.image_size)))


def rates(model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Measure sizes (MB), latencies of one decoded picture (ms), and files to answers (pictures per second)."""
    import onnxruntime
    import tensorflow as tf

    network, card = load(model)
    names = find([str(folder / "test")], allow_urls=False)
    picture = decode(names[:1], card.image_size)
    with tempfile.TemporaryDirectory() as temporary:
        outputs = {
            kind: Path(temporary, f"model_{kind}{ending}")
            for kind, ending in export.FORMATS.items()
            if kind != "features"
        }
        for kind, output in outputs.items():
            print(f"{kind}: {export.export(kind, network, card, output, folder / 'train')}", file=sys.stderr)
        sizes = {kind: export.size_of(output) / 1e6 for kind, output in outputs.items()}
        session = onnxruntime.InferenceSession(outputs["onnx"], providers=["CPUExecutionProvider"])
        loaded = tf.saved_model.load(outputs["saved_model"])
        signature = loaded.signatures["serving_default"]
        lites = {kind: read_litert(outputs[kind])[0] for kind in ("litert", "litert_int8")}
        as_float = picture.astype(np.float32)
        works: dict[str, Callable[[], object]] = {
            "keras": lambda: network.predict(as_float / 255, verbose=0),
            "saved_model": lambda: signature(picture=tf.constant(as_float))["probabilities"].numpy(),
            "litert": lambda: lites["litert"].probabilities(picture),
            "litert_int8": lambda: lites["litert_int8"].probabilities(picture),
            "onnx": lambda: session.run(None, {"picture": as_float}),
        }

        def repeated(work: Callable[[], object]) -> Callable[[], float]:
            def turn() -> float:
                for _ in range(ONCE):
                    work()
                return ONCE

            return turn

        turns = {kind: repeated(work) for kind, work in works.items()}
        by_turns(turns, 1)  # compiles, and allocates
        latencies = {kind: 1000 / rate for kind, rate in by_turns(turns).items()}
        many = by_turns(
            {
                "predict": lambda: sum(1 for _ in answers.predict(lites["litert"], card, names, refuse)),
                "keras": lambda: with_keras(network, card, names),
            },
            3,
        )
    return {"MB": {"keras": model.stat().st_size / 1e6} | sizes, "ms": latencies, "pictures per second": many}


def refuse(name: str, error: Exception) -> None:
    raise ValueError(f"{name}: {error}")


def with_keras(network: keras.Model, card: modelfile.Card, names: list[str]) -> int:
    """Predict with Keras' own `predict`, in batches; decoded by as many threads as ours."""
    pictures = [picture for _, picture in answers.decoded(names, card.image_size)]
    return len(network.predict(np.stack(pictures).astype(np.float32) / 255, batch_size=BATCH, verbose=0))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    elif sys.argv[1] == "one":
        one(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(json.dumps(rates(Path(sys.argv[2]), Path(sys.argv[3]))))
