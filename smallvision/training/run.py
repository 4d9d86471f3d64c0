"""Train the network of a recipe on pictures that are split: from parameters and a folder to files."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.files import sha256_of
from smallvision.core.params import Params
from smallvision.data.pictures.loading import BUDGET, Labelled, Pictures
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.models.facts import write_facts
from smallvision.models.keras_file import save_model
from smallvision.models.litert import save_litert
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.training.checkpoints import Checkpoints, training_key
from smallvision.training.hardware import settle
from smallvision.training.hooks import Hooks, Report
from smallvision.training.plan import Plan, resolve
from smallvision.training.reports import log_to_tensorboard, write_results

if TYPE_CHECKING:
    from smallvision.training.fitting import Fit

COMPARED = 8  # validation pictures on which the converted network is compared with Keras


@dataclass(frozen=True)
class Outputs:
    """Where a training writes.

    Attributes:
        models: the folder for `model.keras`, `model.json` with what must be known to use it, and `model.tflite`.
        metrics: the JSON file of metrics, written after each epoch.
        plots: the folder for `history.csv`, written after each epoch, and `augmentation.png`.
        logs: the folder for TensorBoard's logs, if the parameters ask for them.
    """

    models: Path
    metrics: Path
    plots: Path
    logs: Path


def train(params: Params, folder: Path, outputs: Outputs, on_epoch: Report | None = None) -> None:
    """Fit the network of the chosen recipe, going on where an earlier run ended, and write what came of it.

    Args:
        params: what to train, and how.
        folder: the folder that `split` wrote.
        outputs: where to write.
        on_epoch: is called with the history so far after each epoch, when metrics, plots and logs are written.

    Raises:
        UserError: the parameters, a picture or the machine cannot be used; the kind of the error says which.
    """
    start = time.monotonic()
    plan = resolve(params)
    manifest = read_manifest(folder / "manifest.json").limit_train(plan.train_limit)
    training, validation = load_subsets(folder, manifest, plan.image_size)
    import_tensorflow()
    from smallvision.training.preview import preview_augmentation
    from smallvision.training.recipe import train_recipe

    plan, classes = settle(plan), list(manifest.classes)
    pictures = sha256_of(folder / "manifest.json")
    key = training_key(plan.facts() | {"pictures": pictures})
    about = describe(plan, manifest.source, len(training[0]))
    write = partial(write_results, outputs.metrics, outputs.plots / "history.csv")
    logs = [log_to_tensorboard(outputs.logs / f"{plan.name}-{key}")] if params.tensorboard else []
    # `on_epoch` is the last one, because a sweep may end the process there.
    reports: list[Report] = [partial(write, about), *logs, *([on_epoch] if on_epoch else [])]
    checkpoints = Checkpoints(outputs.models / "model-checkpoints" / key)

    preview_augmentation(outputs.plots / "augmentation.png", plan, manifest, *training)
    trained = train_recipe(len(classes), training, validation, plan, Hooks(checkpoints, reports))
    facts = save_model(
        outputs.models / "model.keras", trained.network, recipe=plan.name, source=manifest.source, pictures=pictures,
        classes=classes, image_size=plan.image_size, parameters=plan.parameters() | trained.used,
    )  # fmt: skip
    history, seconds = trained.fit.history, time.monotonic() - start + trained.fit.earlier
    write(about | facts.ids | trained.used, history, trained.final | {"seconds": seconds})
    # The conversion comes after everything that took long to compute, so that nothing is lost if it fails.
    samples, expected = validation[0][np.arange(len(validation[0]))[:COMPARED]], trained.answers[:COMPARED]
    facts = save_litert(outputs.models / "model.tflite", trained.network, facts, samples, expected)
    write_facts(outputs.models / "model.keras", facts)
    checkpoints.remove()
    print(f"train: {plan.name} on {manifest.source}: {summarise(trained.fit)} of {len(validation[0])} pictures")


def summarise(fit: "Fit") -> str:
    """Return in words how the training went, and how good the network was on the validation pictures."""
    how = f"best epoch {fit.best_epoch} of {len(fit.history)}" if fit.c is None else f"logistic regression, C {fit.c:g}"
    return f"{how}, validation accuracy {fit.best['val_acc']:.1%}"


def describe(plan: Plan, source: str, count: int) -> dict[str, str | int]:
    """Return what the metrics say about the recipe, the pictures and the machine that they come from."""
    about: dict[str, str | int] = {"source": source, "recipe": plan.name, "train_n": count}
    return about | {"device": plan.device.upper(), "precision": plan.precision}


def load_subsets(folder: Path, manifest: Manifest, image_size: int) -> tuple[Labelled, Labelled]:
    """Return the training and the validation pictures, each with their labels; both share one budget of memory."""
    validation = Pictures(folder, manifest.subset("validation"), image_size)
    budget = BUDGET - validation.budget_used
    train = Pictures(folder, manifest.subset("train"), image_size, budget, manifest.groups("train"))
    return (train, np.array(manifest.labels("train"))), (validation, np.array(manifest.labels("validation")))
