"""Train the network of a recipe on pictures that are split: from parameters and a folder to files."""

import time
from functools import partial
from pathlib import Path

import numpy as np

from smallvision.core.files import sha256_of
from smallvision.core.params import Params
from smallvision.data.pictures.loading import BUDGET, Pictures
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

COMPARED = 8  # validation pictures on which the converted network is compared with Keras
Labelled = tuple[Pictures, np.ndarray]


def train(
    params: Params, folder: Path, models: Path, metrics: Path, plots: Path, on_epoch: Report | None = None
) -> None:
    """Fit the network of the chosen recipe, going on where an earlier run ended, and write what came of it.

    Args:
        params: what to train, and how.
        folder: the folder that `split` wrote.
        models: the folder for `model.keras`, `model.json` with what must be known to use it, and `model.tflite`.
        metrics: the JSON file of metrics, written after each epoch.
        plots: the folder for `history.csv`, written after each epoch, and `augmentation.png`.
        on_epoch: is called with the history so far after each epoch.

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
    write = partial(write_results, metrics, plots / "history.csv")
    reports: list[Report] = [partial(write, about), *([on_epoch] if on_epoch else [])]
    if params.tensorboard:
        reports.append(log_to_tensorboard(Path("data/tensorboard", f"{plan.name}-{key}")))
    checkpoints = Checkpoints(models / "model-checkpoints" / key)

    preview_augmentation(plots / "augmentation.png", plan, manifest, *training)
    trained = train_recipe(len(classes), training, validation, plan, Hooks(checkpoints, reports))
    facts = save_model(
        models / "model.keras", trained.network, recipe=plan.name, source=manifest.source, pictures=pictures,
        classes=classes, image_size=plan.image_size, parameters=plan.parameters() | trained.used,
    )  # fmt: skip
    history, seconds = trained.fit.history, time.monotonic() - start + trained.fit.earlier
    write(about | facts.ids | trained.used, history, trained.final | {"seconds": seconds})
    # The conversion comes after everything that took long to compute, so that nothing is lost if it fails.
    samples = validation[0][np.arange(len(validation[0]))[:COMPARED]]
    write_facts(models / "model.keras", save_litert(models / "model.tflite", trained.network, facts, samples))
    checkpoints.remove()
    print(
        f"train: {plan.name} on {manifest.source}: best epoch {trained.fit.best_epoch} of {len(history)}, "
        f"validation accuracy {trained.fit.best['val_acc']:.1%} of {len(validation[0])} pictures"
    )


def describe(plan: Plan, source: str, count: int) -> dict[str, str | int]:
    """Return what the metrics say about the recipe, the pictures and the machine that they come from."""
    about: dict[str, str | int] = {"source": source, "recipe": plan.name, "train_n": count}
    return about | {"device": plan.device.upper(), "precision": plan.precision}


def load_subsets(folder: Path, manifest: Manifest, image_size: int) -> tuple[Labelled, Labelled]:
    """Return the training and the validation pictures, each with their labels; both share one budget of memory."""
    validation = Pictures(folder, manifest.subset("validation"), image_size)
    train = Pictures(folder, manifest.subset("train"), image_size, BUDGET - validation.budget_used)
    return (train, np.array(manifest.labels("train"))), (validation, np.array(manifest.labels("validation")))
