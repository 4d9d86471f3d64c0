"""Score a trained model on every test picture, and write the scores, the plots and the model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, shorten
from smallvision.core.files import sha256_of, write_csv, write_json
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.evaluation import gallery
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.curves import Table, write_curves
from smallvision.evaluation.modelcard import write_model_card
from smallvision.evaluation.scores import ClassRow, class_rows, rank_mistakes, score
from smallvision.models.facts import ModelFacts, read_facts, read_metrics
from smallvision.models.keras_file import load_model
from smallvision.models.litert import read_litert
from smallvision.models.quiet_tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras

SHOWN_CLASSES = 20  # rows of the table on the terminal, at most


def evaluate(models: Path, training: Path, folder: Path, metrics: Path, plots: Path) -> None:
    """Score a model on every test picture, and write metrics, predictions, plots and the model card.

    Args:
        models: the folder that `train` wrote; the model card `README.md` is written there too.
        training: the JSON file of metrics that `train` wrote.
        folder: the folder that `split` wrote.
        metrics: the JSON file of metrics to write.
        plots: the folder for the predictions, the curves and the sheets of pictures.

    Raises:
        InputError: the model, the metrics of its training and the pictures do not belong together.
    """
    model = models / "model.keras"
    facts = read_facts(model)
    training_metrics = read_metrics(training, facts)
    manifest = read_manifest(folder / "manifest.json")
    require_same_split(model, facts, folder, manifest)
    entries = manifest.subset("test")
    pictures = Pictures(folder, entries, facts.image_size)

    lite, _ = read_litert(models / "model.tflite")
    probabilities = lite.probabilities(pictures, "test pictures")
    answers = Answers(np.array(manifest.labels("test")), probabilities, facts.classes)
    scores = score(answers)
    write_csv(plots / "predictions.csv", *prediction_table([(entry.path, entry.sha256) for entry in entries], answers))
    write_curves(plots, answers)
    import_tensorflow()  # only Grad-CAM needs it
    draw_gallery(plots, answers, [entry.name for entry in entries], load_model(model, facts), pictures)
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}
    write_json(metrics, {"source": manifest.source, "recipe": facts.recipe, **facts.ids, **rounded})
    print_classes(class_rows(answers), plots / "classes.csv")
    write_model_card(models / "README.md", facts, training_metrics, rounded)
    print(summarise(facts, manifest, scores))


def require_same_split(model: Path, facts: ModelFacts, folder: Path, manifest: Manifest) -> None:
    """Check that a model can be scored on these test pictures.

    Raises:
        InputError: it was trained on another split, or a class has no test pictures.
    """
    if facts.classes != list(manifest.classes):
        raise InputError(
            f"{model}: knows {', '.join(facts.classes)}, the pictures show {', '.join(manifest.classes)}; "
            "`dvc repro` trains again"
        )
    if facts.pictures != sha256_of(folder / "manifest.json"):
        raise InputError(
            f"{model}: trained on another split, whose pictures may be among these test pictures; "
            "`dvc repro` trains again"
        )
    if missing := set(manifest.classes) - {entry.label for entry in manifest.subset("test")}:
        raise InputError(f"{folder}: no test pictures of {', '.join(sorted(missing))}; `dvc repro -f split` makes them")


def prediction_table(pictures: Sequence[tuple[str, str]], answers: Answers) -> Table:
    """Return the label and the probabilities of each picture, which is given by its path and its SHA-256."""
    classes = answers.classes
    header = ["picture", "sha256", "actual", "predicted", *(f"p_{name}" for name in classes)]
    rows = [
        (path, sha256[:12], classes[label], classes[predicted], *(f"{p:.6f}" for p in row))
        for (path, sha256), label, predicted, row in zip(
            pictures, answers.labels, answers.predicted, answers.probabilities, strict=True
        )
    ]
    return Table(header, rows)


def draw_gallery(
    folder: Path, answers: Answers, names: Sequence[str], network: "keras.Model", pictures: Pictures
) -> None:
    """Draw the worst mistakes, and where the network looked in pictures that it got right and wrong.

    Args:
        folder: the folder for `mistakes.png` and `gradcam.png`.
        answers: the answers about all test pictures.
        names: their file names.
        network: the network that gave the answers.
        pictures: the test pictures.
    """
    from smallvision.evaluation.gradcam import gradcam

    worst = rank_mistakes(answers)[: gallery.MISTAKES]
    chosen = np.concatenate([worst, gallery.choose_right(answers, gallery.EXPLAINED)])
    shown, names = pictures[chosen], [names[index] for index in chosen]
    mistakes = len(worst)
    gallery.draw_mistakes(folder / "mistakes.png", answers.select(worst), names[:mistakes], shown[:mistakes])
    explained = np.r_[: min(mistakes, gallery.EXPLAINED), mistakes : len(chosen)]
    chosen, shown, names = chosen[explained], shown[explained], [names[place] for place in explained]
    heat = gradcam(network, shown, answers.predicted[chosen])
    gallery.draw_heat(folder / "gradcam.png", answers.select(chosen), names, shown, heat)


def print_classes(rows: Sequence[ClassRow], path: Path) -> None:
    """Print the table of classes. If there are many, print those with the lowest recall and the file with all."""
    shown = sorted(rows, key=lambda row: row.recall)[:SHOWN_CLASSES] if len(rows) > SHOWN_CLASSES else rows
    print(f"{'class':32} {'pictures':>8} {'recall':>9} {'precision':>9} {'f1':>9}")
    for row in shown:
        cells = ("-" if share is None else f"{share:.1%}" for share in (row.recall, row.precision, row.f1))
        print(f"{shorten(row.name, 32):32} {row.pictures:8} {' '.join(f'{cell:>9}' for cell in cells)}")
    if len(rows) > len(shown):
        print(f"the {len(shown)} of {len(rows)} classes with the lowest recall; all of them: {path}")


def summarise(facts: ModelFacts, manifest: Manifest, scores: Mapping[str, float | int | None]) -> str:
    """Return the line that says how good the model is and on which pictures."""
    return (
        f"evaluate: {facts.recipe} on {manifest.source}: test accuracy {scores['acc']:.1%} "
        f"({scores['acc_low']:.1%} to {scores['acc_high']:.1%} at 95%) of {scores['n']} pictures"
    )
