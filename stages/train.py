"""Stage train: fit the network of a recipe.

Reads `seed`, `train_limit`, `image_size`, `recipe`, `lr`, `batch_size`, `class_weights`, `device`, `precision`,
`tensorboard` and the recipe itself.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.files import locked
from smallvision.core.params_file import read_params
from smallvision.core.process import run
from smallvision.training.run import Outputs, train


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.train", description="Fit the network of a recipe.")
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("models", type=Path, help="folder for model.keras, model.json and model.tflite")
    parser.add_argument("metrics", type=Path, help="the JSON file to write")
    parser.add_argument("plots", type=Path, help="folder for history.csv, a row for each epoch, and augmentation.png")
    parser.add_argument("logs", type=Path, help="folder for TensorBoard's logs, if `tensorboard` is true")
    paths = parser.parse_args(arguments)
    params = read_params()
    with locked(paths.models / "model.keras"):
        train(params, paths.pictures, Outputs(paths.models, paths.metrics, paths.plots, paths.logs))


if __name__ == "__main__":
    run("train", main)
