"""Parts of the work alone: `python -m benchmarks.kernels decode|augment|infer|step PICTURES`. Prints JSON.

Contenders run by turns, and the medians count.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image

from benchmarks.book import AUGMENTATION
from smallvision.core.params_file import read_params
from smallvision.data.pictures.batches import evaluation_batches
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models.convnet import build_convnet
from smallvision.models.inference import run_model
from smallvision.training.batches import training_batches
from smallvision.training.hardware import choose_precision

ROUNDS = int(os.environ.get("BENCHMARK_ROUNDS", "5"))  # of each comparison inside one process
SIZE, BATCH = 150, 20


def by_turns(works: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median rate of each work, in things per second. A work returns how many things it has done."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            count = work()
            rates[name].append(count / (time.perf_counter() - start))
    return {name: median(values) for name, values in rates.items()}


def decode(folder: Path) -> dict[str, float]:
    """Measure files to arrays of 150x150, in pictures per second."""
    entries = read_manifest(folder / "manifest.json").subset("validation")

    def ours() -> int:
        return len(Pictures(folder, entries, SIZE)[np.arange(len(entries))])

    def pillow() -> int:
        for entry in entries:
            image = Image.open(folder / entry.path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            np.asarray(image)
        return len(entries)

    return by_turns({"ours": ours, "pillow": pillow})


def augment(folder: Path) -> dict[str, float]:
    """Measure arrays to augmented batches of 32, in pictures per second."""
    entries = read_manifest(folder / "manifest.json").subset("validation")
    pictures = Pictures(folder, entries, SIZE)[np.arange(len(entries))]
    labels = np.zeros(len(entries))
    options = read_params(Path(__file__).parent.parent / "params.yaml").recipes["augmented"].augment
    batches: Iterator = iter(training_batches(pictures, labels, 32, 1, options))
    flow = ImageDataGenerator(rescale=1 / 255, **AUGMENTATION).flow(pictures, labels, batch_size=32)

    def drain(source: Iterator) -> int:
        count = 0
        for _ in range(100):  # so many that the four batches which lie ready from the last turn hardly count
            count += len(next(source)[1])
        return count

    drain(batches)
    return by_turns({"ours": lambda: drain(batches), "ImageDataGenerator": lambda: drain(flow)})


def infer(folder: Path) -> dict[str, float]:
    """Measure arrays to features of a frozen base, in pictures per second, with all that precedes the first batch."""
    entries = read_manifest(folder / "manifest.json").subset("validation")[:500]
    pictures = Pictures(folder, entries, 224)[np.arange(len(entries))]
    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None, pooling="avg")
    labels = np.zeros(len(entries))
    return by_turns(
        {
            "ours": lambda: len(run_model(base, pictures)),
            "predict": lambda: len(base.predict(evaluation_batches(pictures, labels), verbose=0)),
        }
    )


def step(_folder: Path) -> dict[str, float | str]:
    """Measure training steps of `baseline` on a batch that lies ready, beside matrix products alone."""
    chosen = choose_precision("auto")
    keras.config.set_dtype_policy("mixed_bfloat16" if chosen == "bfloat16" else "float32")
    model = build_convnet(SIZE, 2)
    model.compile(optimizer=keras.optimizers.RMSprop(1e-4), loss="binary_crossentropy", metrics=["acc"])
    batch = tf.random.uniform((BATCH, SIZE, SIZE, 3)), tf.cast(tf.random.uniform((BATCH, 1)) < 0.5, tf.float32)
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    model.fit(batches, steps_per_epoch=3, verbose=0)
    side = 2048

    def train() -> int:
        model.fit(batches, steps_per_epoch=30, verbose=0)
        return 30 * BATCH

    def multiply(kind: tf.DType) -> Callable[[], float]:
        matrix = tf.cast(tf.random.normal((side, side)), kind)
        tf.matmul(matrix, matrix).numpy()

        def work() -> float:
            for _ in range(5):
                tf.matmul(matrix, matrix).numpy()
            return 5 * 2 * side**3

        return work

    rates = by_turns({"train": train, "float32": multiply(tf.float32), "bfloat16": multiply(tf.bfloat16)})
    return {
        "precision": chosen,
        "pictures per second": rates["train"],
        "training FLOP/s": rates["train"] * training_flops(model),
        "float32 matmul FLOP/s": rates["float32"],
        "bfloat16 matmul FLOP/s": rates["bfloat16"],
    }


def training_flops(model: keras.Model) -> int:
    """Count the operations of convolutions and dense layers in one training step, for one picture.

    Each layer computes once forward and twice backward, to its weights and to its input; the first layer need not
    compute backward to its input.
    """
    total = 0
    for index, layer in enumerate(each for each in model.layers if each.weights):
        positions = int(np.prod(layer.output.shape[1:-1])) if len(layer.output.shape) == 4 else 1
        forward = 2 * positions * int(np.prod(layer.kernel.shape))
        total += forward * (3 if index else 2)
    return total


if __name__ == "__main__":
    work = {"decode": decode, "augment": augment, "infer": infer, "step": step}[sys.argv[1]]
    print(json.dumps(work(Path(sys.argv[2]))))
