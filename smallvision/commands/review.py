"""`python -m smallvision.review`: pictures that a person should look at, as a page. Nothing is altered."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.commands.review_page import Suspect, build_page
from smallvision.core.errors import InputError, printable, run
from smallvision.core.files import locked, sha256_of, write_text
from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import Entry, Manifest, read_manifest
from smallvision.evaluation.gallery import rank_mistakes
from smallvision.models.keras_file import Card, load_model, probabilities, read_card
from smallvision.models.quiet_tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras

FOLDS = 5
SEED = 0  # of the folds


def cross_validate(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Predict every picture from the others: `FOLDS` logistic regressions, each without a part of them.

    Args:
        features: float array `(n, length)`.
        labels: integer array `(n,)`; every class occurs at least twice.

    Returns:
        Probabilities `(n, classes)`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    folds = StratifiedKFold(min(FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=SEED)
    # Strong regularisation, since wrong labels must not be learned by heart, and no feature that is far out in a few
    # pictures: with 100 labels of 2,000 photographs swapped, 92 of the first 100 suspects were those.
    model = make_pipeline(
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args={"a_min": -3, "a_max": 3}),
        LogisticRegression(C=2 / len(labels), max_iter=1000),
    )
    predicted: np.ndarray = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    return predicted


def find_suspects(
    network: "keras.Model", card: Card, folder: Path, manifest: Manifest
) -> tuple[list[Suspect], list[Suspect] | None]:
    """Return the likely label errors: those of validation and test, and those of the training pictures.

    The model was not trained on the first, and its own answer counts; of the others it may have
    learned the wrong labels too, so they are judged by cross-validation on its features. That takes
    two training pictures of each class; else there is None.
    """
    from smallvision.evaluation.network_parts import to_features
    from smallvision.models.inference import run_model

    held_out = [*manifest.subset("validation"), *manifest.subset("test")]
    labels = np.array([*manifest.labels("validation"), *manifest.labels("test")])
    pictures = Pictures(folder, held_out, card.image_size)
    with own_errors(pictures):
        found = _suspects(held_out, labels, probabilities(network, pictures), card.classes)
    train, labels = manifest.subset("train"), np.array(manifest.labels("train"))
    if np.bincount(labels, minlength=len(card.classes)).min() < 2:
        return found, None
    pictures = Pictures(folder, train, card.image_size)
    with own_errors(pictures):
        features = run_model(to_features(network), pictures)
    return found, _suspects(train, labels, cross_validate(features.reshape(len(train), -1), labels), card.classes)


def _suspects(entries: list[Entry], labels: np.ndarray, predicted: np.ndarray, classes: list[str]) -> list[Suspect]:
    return [
        Suspect(
            entries[index],
            float(predicted[index, labels[index]]),
            classes[int(predicted[index].argmax())],
            float(predicted[index].max()),
        )
        for index in rank_mistakes(labels, predicted).tolist()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m smallvision.review", description="Likely label errors, duplicates and rejected pictures."
    )
    parser.add_argument("--top", type=int, default=40, help="pictures of each list; default: %(default)s")
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument("--pictures", type=Path, default=Path("data/pictures"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("data/review/index.html"), help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.top < 1:
        parser.error(f"--top: expected at least 1, received {arguments.top}")
    card = read_card(arguments.model)
    manifest = read_manifest(arguments.pictures / "manifest.json")
    if card.pictures != sha256_of(arguments.pictures / "manifest.json"):
        raise InputError(f"{arguments.model}: trained on another split than {arguments.pictures}; `dvc repro` trains")
    import_tensorflow()
    held_out, train = find_suspects(load_model(arguments.model, card), card, arguments.pictures, manifest)
    with locked(arguments.page):
        write_text(arguments.page, build_page(arguments.pictures, manifest, card, held_out, train, arguments.top))
    print(
        f"review: {arguments.page}: likely label errors: {len(held_out)} of validation and test, "
        f"{'unknown' if train is None else len(train)} of train; {len(manifest.duplicates)} groups of duplicates; "
        f"{len(manifest.rejected)} rejected"
    )
    for suspect in [*held_out[:3], *(train or [])[:3]]:
        print(printable(f"review: {suspect}"))


if __name__ == "__main__":
    run("review", main)
