"""For `smallvision choose_base`: what a pretrained base is worth on the pictures that are split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from statistics import fmean
from timeit import timeit

import numpy as np

from smallvision.commands.named_bases import Candidate
from smallvision.core.errors import InputError
from smallvision.core.params import Params, Recipe
from smallvision.core.process import check_stopped
from smallvision.data.pictures.loading import own_errors
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.evaluation.intervals import cross_validation_interval
from smallvision.models import backbones
from smallvision.models.keras_file import load_safely
from smallvision.training.run import load_subsets

SUBSETS = ("train", "validation")  # the test pictures are left for the final score
TIMED = 30  # pictures in each round
LEAST_ROUNDS = 3
LEAST_SECONDS = 3.0  # for each base


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
            f"{folder}: too few groups of pictures for a cross-validation, each fold of which must leave pictures of "
            "every class to the fit; copies are one group, and so is what `split.group` keeps together"
        )
    return Material(folder, manifest, labels, groups, folds)


def measure(candidates: Sequence[Candidate], material: Material, params: Params, recipe: Recipe) -> list[Measured]:
    """Say what each base is worth: its accuracy on all pictures, and the time it takes.

    Args:
        candidates: the bases.
        material: the pictures and their folds.
        params: whether classes count alike, and the size of pictures for a `.keras` file that takes any.
        recipe: how the features are pooled, and whether mirror images are used.

    Raises:
        UserError: a base or a picture cannot be used; the kind of the error says which.
    """
    found, runs = [], []
    for candidate in candidates:
        size = f"@{candidate.image_size}" if candidate.image_size else ""
        print(f"choose_base: {candidate.backbone}{size} …", flush=True)
        measured, run = _measure_one(candidate, material, params, recipe)
        found.append(measured)
        runs.append(run)
    seconds = time_in_turns(runs)
    return [replace(row, milliseconds=1000 * each / TIMED) for row, each in zip(found, seconds, strict=True)]


def _measure_one(
    candidate: Candidate, material: Material, params: Params, recipe: Recipe
) -> tuple[Measured, Callable[[], object]]:
    """Cross-validate a regression on the features of a base, computed now or kept from an earlier run.

    Returns:
        What was found, without the time, and a function that runs the base on `TIMED` pictures.
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
        run = partial(converted(model, sample).outputs, sample)
    views = np.concatenate([each.reshape(1 + recipe.mirror, -1, head.feature_count) for each in features], axis=1)
    fitted = fit_logistic(views, material.labels, material.groups, balanced=params.class_weights == "balanced")
    if fitted.held_out is None:  # `gather_material` has made folds of the same labels and groups
        raise ValueError("there are folds, but no answers for them")
    right = fitted.held_out.argmax(axis=1) == material.labels
    scores = tuple(float(right[material.folds == fold].mean()) for fold in np.unique(material.folds))
    found = Candidate(candidate.backbone, candidate.weights, size)
    return Measured(found, model.count_params() * 4 / 1e6, 0.0, scores), run


def _own_size(backbone: str) -> int | None:
    """Return the side that a base was trained at, or that a `.keras` file takes; None if it takes any."""
    if backbone in backbones.NAMES:
        return backbones.default_image_size(backbone)
    side: int | None = load_safely(Path(backbone)).inputs[0].shape[1]
    return side


def time_in_turns(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Return the least seconds that each function takes, after a call that does not count.

    They take turns, so that whatever else uses the machine slows all of them alike.
    """
    for run in runs:
        run()
    rounds: list[list[float]] = []
    while len(rounds) < LEAST_ROUNDS or sum(map(sum, rounds)) < LEAST_SECONDS * len(runs):
        check_stopped()
        rounds.append([timeit(run, number=1) for run in runs])
    return [min(times) for times in zip(*rounds, strict=True)]
