"""For `smallvision choose_base`: what a pretrained base is worth on the pictures that are split."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from smallvision.commands.named_bases import Candidate
from smallvision.core.errors import InputError
from smallvision.core.params import Params, Recipe
from smallvision.data.pictures.loading import own_errors
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.evaluation.intervals import cross_validation_interval
from smallvision.models import backbones
from smallvision.models.keras_file import load_safely
from smallvision.training.run import load_subsets

if TYPE_CHECKING:
    from smallvision.models.litert_network import Network

SUBSETS = ("train", "validation")  # the test pictures are left for the final score
WARM_UP, TIMED = 8, 30  # pictures
ROUNDS, LEAST = 3, 3.0  # at least so many rounds and seconds; the fastest round counts, as others may use the machine


@dataclass(frozen=True)
class Measured:
    """What a base is worth on these pictures.

    Attributes:
        candidate: the base; its `image_size` is not None.
        megabytes: the size of its weights in float32, 10^6 bytes.
        milliseconds: the time that it takes for one picture, in LiteRT on all cores.
        scores: the accuracy in each fold; the folds are the same for all bases.
    """

    candidate: Candidate
    megabytes: float
    milliseconds: float
    scores: tuple[float, ...]

    @property
    def name(self) -> str:
        """The name of the base, or of its file without the folder."""
        return PurePath(self.candidate.backbone).name

    @property
    def accuracy(self) -> float:
        """The mean over the folds."""
        return fmean(self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy, both ends in [0, 1]."""
        low, high = cross_validation_interval(self.scores)
        return max(low, 0.0), min(high, 1.0)

    def minus(self, other: "Measured") -> tuple[float, float, float]:
        """Return by how much it is more accurate than another base on the same pictures, and the ends of the interval.

        All three are in [-1, 1].
        """
        differences = [mine - theirs for mine, theirs in zip(self.scores, other.scores, strict=True)]
        low, high = cross_validation_interval(differences)
        return fmean(differences), max(low, -1.0), min(high, 1.0)


def rank(measured: Sequence[Measured]) -> list[Measured]:
    """Return the bases with the most accurate one first; of equally accurate ones the fastest is first."""
    return sorted(measured, key=lambda each: (-each.accuracy, each.milliseconds))


def recommend(measured: Sequence[Measured]) -> Measured:
    """Return the fastest base that is not worse than the most accurate one.

    A base is worse if the whole 95% interval of its difference to the most accurate one is below 0.
    """
    best = rank(measured)[0]
    return min((each for each in measured if each.minus(best)[2] >= 0), key=lambda each: each.milliseconds)


@dataclass(frozen=True, eq=False)  # an array has no truth value, so comparing two would raise an error
class Material:
    """The pictures, those of training before those of validation, and their folds; both are the same for all bases.

    Attributes:
        folder: the folder that `split` wrote.
        manifest: its manifest, with no more training pictures than `train_limit` allows.
        labels: integers `(n,)`.
        groups: integers `(n,)`; pictures with the same number are in one fold.
        folds: the number of the fold of each picture, integers `(n,)`.
    """

    folder: Path
    manifest: Manifest
    labels: np.ndarray
    groups: np.ndarray
    folds: np.ndarray


def gather_material(folder: Path, train_limit: int | None) -> Material:
    """Read which pictures there are, and deal them to folds.

    Raises:
        InputError: there is no manifest, or there are too few pictures for a cross-validation.
    """
    from smallvision.training.logistic import make_folds

    manifest = read_manifest(folder / "manifest.json").limit_train(train_limit)
    labels = np.array([label for subset in SUBSETS for label in manifest.labels(subset)])
    # No group has pictures in two subsets, so the numbers of one subset can begin where those of the other end.
    first, second = (np.array(manifest.groups(subset), int) for subset in SUBSETS)
    groups = np.concatenate([first, second + len(first)])
    folds = make_folds(labels, groups)
    if folds is None:
        raise InputError(
            f"{folder}: too few pictures for a cross-validation; each class needs some in every fold's fit: pictures "
            "that are no copies of each other, in at least two groups (`split.group`)"
        )
    return Material(folder, manifest, labels, groups, folds)


def measure(candidate: Candidate, material: Material, params: Params, recipe: Recipe) -> Measured:
    """Compute the features of all pictures, or take those of an earlier run, and cross-validate a regression on them.

    Args:
        candidate: the base.
        material: the pictures and their folds.
        params: whether classes count alike, and the size of pictures for a `.keras` file that takes any.
        recipe: how the features are pooled, and whether mirror images are used.

    Raises:
        UserError: the base or a picture cannot be used; the kind of the error says which.
    """
    import keras

    from smallvision.training.features import compute_features, converted
    from smallvision.training.logistic import fit_logistic
    from smallvision.training.transfer import freeze_and_pool

    # Layers without a name get one with a number, which goes on from base to base. Names are a part of the key of kept
    # features, and a training, which has one base only, is to find them.
    keras.utils.clear_session()
    size = candidate.image_size or _own_size(candidate.backbone) or params.image_size
    base = backbones.build(candidate.backbone, candidate.weights, size)
    model, head = freeze_and_pool(base, recipe, len(material.manifest.classes))
    subsets = [pictures for pictures, _ in load_subsets(material.folder, material.manifest, size)]
    with own_errors(*subsets):
        features = [
            compute_features(model, pictures, f"{name} pictures", mirror=recipe.mirror)
            for pictures, name in zip(subsets, ("training", "validation"), strict=True)
        ]
        sample = subsets[0][np.arange(TIMED) % len(subsets[0])]
        milliseconds = time_network(converted(model, sample), sample)
    views = np.concatenate([each.reshape(1 + recipe.mirror, -1, head.feature_count) for each in features], axis=1)
    fitted = fit_logistic(views, material.labels, material.groups, balanced=params.class_weights == "balanced")
    if fitted.held_out is None:  # `gather_material` has made folds of the same labels and groups
        raise ValueError("there are folds, but no answers for them")
    right = fitted.held_out.argmax(axis=1) == material.labels
    scores = tuple(float(right[material.folds == fold].mean()) for fold in np.unique(material.folds))
    found = Candidate(candidate.backbone, candidate.weights, size)
    return Measured(found, model.count_params() * 4 / 1e6, milliseconds, scores)


def _own_size(backbone: str) -> int | None:
    """Return the side that a base was trained at, or that a `.keras` file takes; None if it takes any."""
    if backbone in backbones.NAMES:
        return backbones.default_image_size(backbone)
    side: int | None = load_safely(Path(backbone)).inputs[0].shape[1]
    return side


def time_network(network: "Network", pictures: np.ndarray) -> float:
    """Return the milliseconds that a network takes for a picture when all cores are busy with it.

    Args:
        network: a network in LiteRT's format.
        pictures: uint8 `(n, size, size, 3)`, already decoded.
    """
    network.outputs(pictures[:WARM_UP])
    seconds: list[float] = []
    while len(seconds) < ROUNDS or sum(seconds) < LEAST:
        start = time.perf_counter()
        network.outputs(pictures)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / len(pictures) * 1000
