"""Fit the network of a recipe on pictures that are split, from parameters to files."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from smallvision.core.errors import shorten
from smallvision.core.files import sha256_of, write_csv, write_json
from smallvision.core.params import Params, Recipe
from smallvision.data.pictures.loading import BUDGET, Pictures, own_errors
from smallvision.data.pictures.manifest import Manifest, read_manifest
from smallvision.models import backbones
from smallvision.models.keras_file import average_over_mirror, fingerprint, probabilities, save_model, write_card
from smallvision.models.litert import save_litert
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.training import devices

if TYPE_CHECKING:
    import keras

    from smallvision.training.fitting import Fit, History, Subset

SHOWN, EPOCHS_SHOWN = 4, 6  # on the sheet of augmented pictures
COMPARED = 8  # validation pictures on which the converted network is compared with Keras


def fit_from_scratch(
    recipe: Recipe, image_size: int, class_count: int, train: "Subset", validation: "Subset", **options: Any
) -> tuple["Fit", dict[str, str]]:
    """Train a network of our own."""
    from smallvision.models.normalisation import standard_layers
    from smallvision.training.fitting import fit
    from smallvision.training.networks import NETWORKS

    network = NETWORKS[recipe.network]
    size = None if recipe.augment and recipe.augment.resizes else image_size
    result = fit(partial(network, size, class_count, recipe.dropout), train, validation, **options)
    saved = standard_layers(network(image_size, class_count, recipe.dropout))
    saved.set_weights(result.model.get_weights())
    return replace(result, model=saved), {}


def fit_pretrained(
    recipe: Recipe, image_size: int, class_count: int, train: "Subset", validation: "Subset", **options: Any
) -> tuple["Fit", dict[str, str]]:
    """Train on a pretrained base; return its name and the hash of its weights too."""
    from smallvision.training.transfer import Head, Top, fit_on_base

    base = backbones.build(str(recipe.backbone), recipe.weights, image_size)
    used = {"backbone": PurePath(str(recipe.backbone)).name, "weights": fingerprint(base)[:12]}
    layers = hashlib.sha256(base.to_json().encode()).hexdigest()
    options["checkpoints"] = options["checkpoints"].of(f"{used['weights']}-{layers[:12]}")
    top = (
        Top(recipe.unfreeze, recipe.finetune_lr, recipe.finetune_epochs)
        if recipe.unfreeze and recipe.finetune_lr and recipe.finetune_epochs
        else None
    )
    head = Head(recipe.pooling, recipe.units, recipe.dropout)
    return fit_on_base(base, head, train, validation, class_count, mirror=recipe.mirror, top=top, **options), used


def predict_validation(network: "keras.Model", recipe: Recipe, pictures: Pictures) -> np.ndarray:
    """Predict what the fitted network says of the validation pictures, over both mirror images if it is asked to.

    Those have passed a frozen base already, so there only the head is run.

    Returns:
        float64 array `(n, classes)`.
    """
    if recipe.backbone and not recipe.unfreeze:
        from smallvision.training.features import compute_features

        base, head = network.layers
        views = probabilities(head, compute_features(base, pictures, mirror=recipe.mirror_test))
        mean: np.ndarray = views.reshape(-1, len(pictures), views.shape[1]).mean(axis=0)
        return mean
    return probabilities(average_over_mirror(network) if recipe.mirror_test else network, pictures)


def input_size(params: Params) -> int:
    """Return the side of the network's input, in pixels, without importing TensorFlow.

    Raises:
        ParameterError: the recipe's base or its weights are not to be had.
    """
    recipe = params.recipes[params.recipe]
    size = recipe.image_size
    if recipe.backbone:
        backbones.check(recipe.backbone, recipe.weights)
        size = size or backbones.default_image_size(recipe.backbone)
    return size or params.image_size


def fit_options(params: Params, labels: np.ndarray) -> dict[str, Any]:
    """Return the options of `fitting.fit` that parameters decide; `labels` are those of the training pictures."""
    from smallvision.training import balance, precision

    recipe = params.recipes[params.recipe]
    return {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size or params.batch_size,
        "lr": recipe.lr or params.lr,
        "seed": params.seed,
        "optimizer": recipe.optimizer,
        "weight_decay": recipe.weight_decay,
        "schedule": recipe.schedule,
        "warmup": recipe.warmup,
        "label_smoothing": recipe.label_smoothing,
        "patience": recipe.patience,
        # A base is used in the arithmetic its weights are kept in.
        "precision": "float32" if recipe.backbone else precision.choose(params.precision),
        "class_weight": balance.balanced_weights(labels) if params.class_weights == "balanced" else None,
    }


def train(
    params: Params,
    folder: Path,
    model: Path,
    metrics: Path,
    history: Path,
    on_epoch: Callable[["History"], None] | None = None,
) -> None:
    """Fit the network of the chosen recipe, going on where an earlier run ended, and write what came of it.

    Args:
        params: what to train, and how.
        folder: what split wrote.
        model: the `.keras` file to write; its card and its LiteRT form come beside it.
        metrics: the JSON file to write, after each epoch.
        history: the CSV file to write, likewise.
        on_epoch: is called with the history so far after each epoch.

    Raises:
        UserError: of whatever kind says what is wrong.
    """
    start = time.monotonic()
    recipe = params.recipes[params.recipe]
    image_size = input_size(params)
    manifest = read_manifest(folder / "manifest.json").limit_train(params.train_limit)
    validation = Pictures(folder, manifest.subset("validation"), image_size)
    train = Pictures(folder, manifest.subset("train"), image_size, BUDGET - validation.budget_used)
    labelled = [(train, np.array(manifest.labels("train"))), (validation, np.array(manifest.labels("validation")))]

    import_tensorflow()
    from smallvision.training.checkpoints import Checkpoints, training_key
    from smallvision.training.tensorboard import log_to

    device = devices.choose(params.device)
    options = fit_options(params, labelled[0][1])
    pictures = sha256_of(folder / "manifest.json")
    more = {"device": device, "image_size": image_size, "train_limit": params.train_limit}
    facts = {"recipe": recipe.model_dump(), "pictures": pictures} | more
    checkpoints = Checkpoints(model.with_name(f"{model.stem}-checkpoints") / training_key(options | facts))
    results = {
        "source": manifest.source, "recipe": params.recipe, "train_n": len(train),
        "device": device, "precision": options["precision"],
    }  # fmt: skip
    reports: list[Callable[[History], None]] = [partial(write_results, metrics, history, results)]
    if params.tensorboard:
        reports.append(log_to(Path("data/tensorboard", f"{params.recipe}-{checkpoints.folder.name}")))
    if on_epoch:
        reports.append(on_epoch)

    def report(history: "History") -> None:
        for each in reports:
            each(history)

    fit_recipe = fit_pretrained if recipe.backbone else fit_from_scratch
    with own_errors(train, validation):
        draw_sheet(history.with_name("augmentation.png"), recipe, params.seed, manifest, *labelled[0])
        with devices.all_of(device):
            result, used = fit_recipe(
                recipe, image_size, len(manifest.classes), *labelled,
                augment=recipe.augment, checkpoints=checkpoints, report=report, **options,
            )  # fmt: skip
        network, final = finish(result.model, recipe, *labelled[1])
    card = save_model(
        model,
        network,
        recipe=params.recipe,
        source=manifest.source,
        pictures=pictures,
        classes=list(manifest.classes),
        image_size=image_size,
        # Of a file its name, and what it holds by hash: a path says nothing elsewhere.
        parameters=recipe.model_dump(mode="json", exclude_unset=True) | options | used | more,
    )
    seconds = time.monotonic() - start + result.earlier
    write_results(metrics, history, results | card.ids | used, result.history, **final, seconds=seconds)
    # After everything that took long to compute, so that nothing is lost if the network cannot be converted.
    samples = validation[np.arange(min(COMPARED, len(validation)))]
    write_card(model, save_litert(model.with_suffix(".tflite"), network, card, samples))
    checkpoints.remove()
    best = result.history[result.best_epoch - 1]
    print(
        f"train: {card.recipe} on {card.source}: best epoch {result.best_epoch} of {len(result.history)}, "
        f"validation accuracy {best['val_acc']:.1%} of {len(validation)} pictures"
    )


def finish(
    network: "keras.Model", recipe: Recipe, pictures: Pictures, labels: np.ndarray
) -> tuple["keras.Model", dict[str, float]]:
    """Return the network to be saved, over both mirror images if the recipe wants it and calibrated.

    And what it is worth on the validation pictures: `temperature`, accuracy and cross-entropy.
    """
    from smallvision.training.calibration import fit_temperature, scale, with_temperature

    predicted = predict_validation(network, recipe, pictures)
    temperature = round(fit_temperature(predicted, labels), 4)
    predicted = scale(predicted, temperature)
    right = (predicted.argmax(axis=1) == labels).mean()
    loss = -np.log(predicted[np.arange(len(labels)), labels]).mean()
    final = {"temperature": temperature, "final_val_acc": float(right), "final_val_loss": float(loss)}
    return with_temperature(average_over_mirror(network) if recipe.mirror_test else network, temperature), final


def draw_sheet(
    path: Path, recipe: Recipe, seed: int, manifest: Manifest, pictures: Pictures, labels: np.ndarray
) -> None:
    """Draw what the first epochs make of a few pictures, before the training: a wrong augmentation is seen at once."""
    from smallvision.data.pictures.sheet import draw_augmentation
    from smallvision.training.augment import augmented_views

    classes = range(len(manifest.classes))
    chosen = np.concatenate([np.flatnonzero(labels == index)[:2] for index in classes])[:SHOWN]
    entries, shown = manifest.subset("train"), pictures[chosen]
    views = (
        augmented_views(shown, chosen, len(pictures), recipe.augment, seed, EPOCHS_SHOWN)
        if recipe.augment
        else shown[np.newaxis] / np.float32(255)
    )
    draw_augmentation(path, views, [shorten(entries[index].name, 20) for index in chosen])


def write_results(metrics: Path, csv: Path, facts: dict[str, str | int], history: "History", **more: float) -> None:
    """Write a row of each epoch so far, and the numbers of the best one.

    Called after every epoch, so that `dvc exp show` and the plots move while the network trains; `facts`
    name the model only once there is one, so that `evaluate` refuses the numbers of an unfinished training.
    `acc` and `loss` are those of the epoch as it was trained, weighted as `class_weights` says;
    `final_val_acc` and `final_val_loss` those of the network as it is saved, each picture counting alike, with
    `mirror_test` and with `temperature`, which was fitted to the same validation pictures.
    """
    from smallvision.training.fitting import find_best

    write_csv(csv, ["epoch", *history[0]], [(epoch, *row.values()) for epoch, row in enumerate(history, 1)])
    best_epoch = find_best(history)
    best = history[best_epoch - 1]
    numbers = {
        "train_acc": best["acc"],
        "train_loss": best["loss"],
        "val_acc": best["val_acc"],
        "val_loss": best["val_loss"],
        **more,
    }
    rounded = {key: round(value, 4) for key, value in numbers.items()}
    write_json(metrics, {**facts, "epochs": len(history), "best_epoch": best_epoch, **rounded})
