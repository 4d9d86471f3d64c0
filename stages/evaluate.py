"""Stage evaluate: score the model on every test picture. Reads no parameter."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, run, shorten
from smallvision.core.files import locked, sha256_of, write_csv, write_json
from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import Entry, Manifest, read_manifest
from smallvision.evaluation.modelcard import write_model_card
from smallvision.models.keras_file import Card, load_model, probabilities, read_card, read_metrics
from smallvision.models.quiet_tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras

    from smallvision.evaluation.gallery import Answers
    from smallvision.evaluation.scores import ClassRow

SHOWN_CLASSES = 20  # on the terminal


def evaluate(model: Path, training: Path, folder: Path, metrics: Path, plots: Path) -> None:
    """Score a model on every test picture of `folder`, and write what came of it.

    Raises:
        InputError: model, metrics of its training and pictures do not belong together.
    """
    card = read_card(model)
    learned = read_metrics(training, card)
    manifest = read_manifest(folder / "manifest.json")
    check_fits(model, card, folder, manifest)
    entries = manifest.subset("test")
    pictures = Pictures(folder, entries, card.image_size)
    labels = np.array(manifest.labels("test"))

    import_tensorflow()
    from smallvision.evaluation.curves import write_curves
    from smallvision.evaluation.gallery import Answers
    from smallvision.evaluation.scores import class_rows, score

    network = load_model(model, card)
    with own_errors(pictures):
        predicted = probabilities(network, pictures)
    scores = score(labels, predicted, card.classes)
    header, rows = prediction_rows(entries, labels, predicted, card.classes)
    write_csv(plots / "predictions.csv", header, rows)
    write_curves(plots, labels, predicted, card.classes)
    draw_pictures(plots, Answers([entry.name for entry in entries], labels, predicted, card.classes), network, pictures)
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}
    write_json(metrics, {"source": manifest.source, "recipe": card.recipe, **card.ids, **rounded})
    print_classes(class_rows(labels, predicted, card.classes), plots / "classes.csv")
    write_model_card(model.with_name("README.md"), card, learned, rounded)
    print(
        f"evaluate: {card.recipe} on {manifest.source}: test accuracy {scores['acc']:.1%} "
        f"({scores['acc_low']:.1%} to {scores['acc_high']:.1%} at 95%) of {scores['n']} pictures"
    )


def check_fits(model: Path, card: Card, folder: Path, manifest: Manifest) -> None:
    """Check that a model can be scored on these test pictures.

    Raises:
        InputError: it was trained on others, or a class has none.
    """
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


def prediction_rows(
    entries: Sequence[Entry], labels: np.ndarray, predicted: np.ndarray, classes: list[str]
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return a header, and each picture's path, start of its SHA-256, actual and predicted class, and probabilities."""
    header = ["picture", "sha256", "actual", "predicted", *(f"p_{name}" for name in classes)]
    return header, [
        (entry.path, entry.sha256[:12], classes[label], classes[row.argmax()], *(f"{p:.6f}" for p in row))
        for entry, label, row in zip(entries, labels, predicted, strict=True)
    ]


def draw_pictures(folder: Path, answers: "Answers", network: "keras.Model", pictures: Pictures) -> None:
    """Draw the worst mistakes, and where the network looked in some right and wrong pictures."""
    from smallvision.evaluation import gallery
    from smallvision.evaluation.gradcam import gradcam

    worst, right = answers.worst_mistakes(gallery.MISTAKES), answers.some_right(gallery.EXPLAINED)
    chosen = np.concatenate([worst, right])
    inputs = pictures[chosen]
    gallery.draw_mistakes(folder / "mistakes.png", answers.of(worst), inputs[: len(worst)])
    explained = np.r_[: min(len(worst), gallery.EXPLAINED), len(worst) : len(chosen)]
    chosen, inputs = chosen[explained], inputs[explained]
    heat = gradcam(network, inputs, answers.predicted[chosen])
    gallery.draw_heat(folder / "gradcam.png", answers.of(chosen), inputs, heat)


def print_classes(rows: Sequence["ClassRow"], path: Path) -> None:
    """Print the table of classes, of many those with the lowest recall."""
    shown = sorted(rows, key=lambda row: row[2])[:SHOWN_CLASSES] if len(rows) > SHOWN_CLASSES else rows
    print(f"{'class':32} {'pictures':>8} {'recall':>9} {'precision':>9} {'f1':>9}")
    for name, count, *shares in shown:
        cells = ("-" if share is None else f"{share:.1%}" for share in shares)
        print(f"{shorten(name, 32):32} {count:8} {' '.join(f'{cell:>9}' for cell in cells)}")
    if len(rows) > len(shown):
        print(f"the {len(shown)} of {len(rows)} classes with the lowest recall; all of them: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description="Score the model.")
    parser.add_argument("model", type=Path, help="the .keras file that train wrote")
    parser.add_argument("training", type=Path, help="the JSON file that train wrote")
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("metrics", type=Path, help="the JSON file to write")
    parser.add_argument("plots", type=Path, help="folder to write the predictions and what is drawn of them to")
    arguments = parser.parse_args()
    with locked(arguments.metrics):
        evaluate(arguments.model, arguments.training, arguments.pictures, arguments.metrics, arguments.plots)


if __name__ == "__main__":
    run("evaluate", main)
