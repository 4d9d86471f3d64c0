"""Stage evaluate: score the model on every test picture. It reads no parameter."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.files import locked
from smallvision.core.process import run
from smallvision.evaluation.evaluate import evaluate


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description="Score the model.")
    parser.add_argument("models", type=Path, help="folder that train wrote; the model card is written there too")
    parser.add_argument("training", type=Path, help="the JSON file that train wrote")
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("metrics", type=Path, help="the JSON file to write")
    parser.add_argument("plots", type=Path, help="folder to write the predictions and what is drawn of them to")
    paths = parser.parse_args(arguments)
    with locked(paths.metrics):
        evaluate(paths.models, paths.training, paths.pictures, paths.metrics, paths.plots)


if __name__ == "__main__":
    run("evaluate", main)
