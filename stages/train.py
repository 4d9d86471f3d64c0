"""Stage train: fit the network of a recipe.

Reads `seed`, `train_limit`, `image_size`, `recipe`, `lr`, `batch_size`, `class_weights`, `device`,
`precision`, `tensorboard` and the recipe itself.
"""

import argparse
from pathlib import Path

from smallvision.core.errors import run
from smallvision.core.files import locked
from smallvision.core.params import read_params
from smallvision.training.run import train


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.train", description="Fit the network of a recipe.")
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("model", type=Path, help="the .keras file to write")
    parser.add_argument("metrics", type=Path, help="the JSON file to write")
    parser.add_argument("history", type=Path, help="the CSV file to write, a row an epoch")
    arguments = parser.parse_args()
    params = read_params()
    with locked(arguments.model):
        train(params, arguments.pictures, arguments.model, arguments.metrics, arguments.history)


if __name__ == "__main__":
    run("train", main)
