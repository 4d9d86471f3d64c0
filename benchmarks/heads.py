"""Which head on a frozen base: `python -m benchmarks.heads PICTURES BASE [--weights FILE] [--size SIDE]`.

It fits the logistic head and the dense one on the same few training pictures, drawn at random several times, and
prints the mean accuracy on all validation and all test pictures. The features are those that the train stage would
compute, and are kept where it keeps its own.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from smallvision.core.params import Recipe
from smallvision.core.params_file import read_params
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.models import backbones
from smallvision.training.features import compute_features
from smallvision.training.fitting import fit
from smallvision.training.hooks import Hooks
from smallvision.training.logistic import fit_logistic
from smallvision.training.plan import Plan, resolve
from smallvision.training.transfer import Head, freeze_and_pool

LIMITS = (20, 50, 100, 250, 1000)  # training pictures a class
# The dense head that came before the logistic one, with the settings that were best for it on validation.
DENSE = Recipe(
    epochs=30, batch_size=200, lr=1e-3, schedule="cosine", backbone="mobilenet", units=256, dropout=0.5, mirror=True
)
Views = dict[str, np.ndarray]  # of each subset, float32 `(2, n, features)`: the pictures and their mirror images
Predict = Callable[[np.ndarray], np.ndarray]  # from views to probabilities `(n, classes)`


def compute_views(folder: Path, manifest: Manifest, backbone: str, weights: str, size: int) -> Views:
    """Return the pooled features of all three subsets."""
    base, _ = freeze_and_pool(backbones.build(backbone, weights, size), DENSE, len(manifest.classes))
    views = {}
    for subset in ("train", "validation", "test"):
        pictures = Pictures(folder, manifest.subset(subset), size)
        found = compute_features(base, pictures, f"{subset} pictures", mirror=True)
        views[subset] = found.reshape(2, len(pictures), -1)
    return views


def fit_dense(plan: Plan, views: Views, labels: np.ndarray, chosen: np.ndarray, held_out: np.ndarray) -> Predict:
    """Fit the dense head, whose epoch validation chooses, as the train stage does."""
    head = Head(DENSE.units, DENSE.dropout, views["train"].shape[2], int(labels.max()) + 1)
    training = np.concatenate(list(views["train"][:, chosen])), np.tile(labels[chosen], 2)
    found = fit(head.build, training, (views["validation"][0], held_out), plan, Hooks()).model

    def predict(given: np.ndarray) -> np.ndarray:
        outputs = np.mean([found.predict(view, verbose=0) for view in given], axis=0)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="folder that split wrote")
    parser.add_argument("base")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int)
    parser.add_argument("--draws", type=int, default=3, help="and as many seeds of the dense head")
    given = parser.parse_args()
    manifest = read_manifest(given.pictures / "manifest.json")
    size = given.size or backbones.default_image_size(given.base)
    views = compute_views(given.pictures, manifest, given.base, given.weights, size)
    labels = {subset: np.array(manifest.labels(subset)) for subset in views}
    groups = np.array(manifest.groups("train"))
    params = read_params()
    settings = {"recipe": "dense", "recipes": {"dense": DENSE}, "precision": "float32"}
    print(
        f"{given.base}, {size} pixels, mean of {given.draws} draws: accuracy on validation, on test, seconds of one fit"
    )
    for limit in LIMITS:
        rows: dict[str, list[tuple[float, float, float]]] = {"logistic": [], "dense": []}
        for draw in range(given.draws):
            rng = np.random.default_rng(draw)
            of_each = [np.flatnonzero(labels["train"] == label) for label in range(len(manifest.classes))]
            chosen = np.concatenate([rng.permutation(places)[:limit] for places in of_each])
            plan = resolve(params.model_copy(update=settings | {"seed": draw + 1}))
            works: dict[str, Callable[[], Predict]] = {
                "logistic": lambda chosen=chosen: (
                    fit_logistic(
                        views["train"][:, chosen], labels["train"][chosen], groups[chosen], balanced=False
                    ).probabilities
                ),
                "dense": partial(fit_dense, plan, views, labels["train"], chosen, labels["validation"]),
            }
            for name, work in works.items():
                start = time.perf_counter()
                predict = work()
                seconds = time.perf_counter() - start
                right = [(predict(views[s]).argmax(axis=1) == labels[s]).mean() for s in ("validation", "test")]
                rows[name].append((*right, seconds))
        for name, found in rows.items():
            validation, test, seconds = np.mean(found, axis=0)
            print(f"{limit:5} a class  {name:8}  {validation:6.2%}  {test:6.2%}  {seconds:5.1f} s", flush=True)


if __name__ == "__main__":
    main()
