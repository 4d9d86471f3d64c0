"""Stage evaluate: score the model on every test picture. Reads no parameter."""

import argparse
import json
from pathlib import Path

import numpy as np

from smallvision.errors import InputError, run
from smallvision.files import locked, sha256_of, write_csv, write_json
from smallvision.loading import Pictures, own_errors
from smallvision.manifest import read_manifest
from smallvision.modelcard import write_model_card
from smallvision.modelfile import check_metrics, load_model, probabilities, read_card
from smallvision.quiet import import_tensorflow


def evaluate(model: Path, training: Path, folder: Path, metrics: Path, confusion: Path) -> None:
    """Score a model on every test picture of `folder`, and write what came of it.

    Raises:
        InputError: model, metrics of its training and pictures do not belong together.
    """
    card = read_card(model)
    check_metrics(training, card)
    manifest = read_manifest(folder / "manifest.json")
    if card.classes != list(manifest.classes):
        raise InputError(
            f"{model}: knows {', '.join(card.classes)}, the pictures show {', '.join(manifest.classes)}; "
            "`dvc repro` trains again"
        )
    if card.pictures != sha256_of(folder / "manifest.json"):
        raise InputError(
            f"{model}: trained on another split, whose pictures may be among these test pictures; "
            "`dvc repro` trains again"
        )
    if missing := set(manifest.classes) - {entry.label for entry in manifest.subset("test")}:
        raise InputError(f"{folder}: no test pictures of {', '.join(sorted(missing))}; `dvc repro -f split` makes them")
    pictures = Pictures(folder, manifest.subset("test"), card.image_size)
    labels = np.array(manifest.labels("test"))

    import_tensorflow()
    from smallvision.scores import confusion_rows, score

    network = load_model(model, card)
    with own_errors(pictures):
        predicted = probabilities(network, pictures)
    scores = score(labels, predicted, card.classes)
    # The columns that DVC's confusion template reads.
    write_csv(confusion, ["actual", "predicted"], confusion_rows(labels, predicted, card.classes))
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}
    write_json(metrics, {"source": manifest.source, "recipe": card.recipe, **card.ids, **rounded})
    write_model_card(model.with_name("README.md"), card, json.loads(training.read_text(encoding="utf-8")), rounded)
    print(
        f"evaluate: {card.recipe} on {manifest.source}: test accuracy {scores['acc']:.1%} "
        f"({scores['acc_low']:.1%} to {scores['acc_high']:.1%} at 95%) of {scores['n']} pictures"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description="Score the model.")
    parser.add_argument("model", type=Path, help="the .keras file that train wrote")
    parser.add_argument("training", type=Path, help="the JSON file that train wrote")
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("metrics", type=Path, help="the JSON file to write")
    parser.add_argument("confusion", type=Path, help="the CSV file to write, a row a picture")
    arguments = parser.parse_args()
    with locked(arguments.metrics):
        evaluate(arguments.model, arguments.training, arguments.pictures, arguments.metrics, arguments.confusion)


if __name__ == "__main__":
    run("evaluate", main)
