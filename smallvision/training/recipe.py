"""A recipe and pictures become a fitted network. TensorFlow must be loaded before this module is imported."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath

import keras
import numpy as np

from smallvision.data.pictures.loading import Labelled, Pictures, own_errors
from smallvision.models import backbones
from smallvision.models.convnet import build_convnet
from smallvision.models.inference import predict_probabilities
from smallvision.models.keras_file import average_over_mirror, hash_weights
from smallvision.models.normalisation import standard_layers
from smallvision.models.residual import build_residual
from smallvision.training.calibration import fit_temperature, scale, with_temperature
from smallvision.training.features import compute_features, runtime
from smallvision.training.fitting import Fit, Subset, fit
from smallvision.training.hardware import use_all_devices
from smallvision.training.hooks import Hooks
from smallvision.training.plan import Plan
from smallvision.training.transfer import fit_on_base

# From (image_size, class_count, dropout) to a network. To add one, write a function in a file of its own in `models`,
# and add its name here and to `Recipe.network`.
NETWORKS: dict[str, Callable[..., keras.Model]] = {"convnet": build_convnet, "residual": build_residual}


@dataclass(frozen=True)
class Trained:
    """A trained network, ready to be saved, and what is known about it.

    Attributes:
        network: the calibrated network, from RGB in [0, 1] to probabilities.
        fit: the history of the training, and the network before it was calibrated.
        used: the name of the pretrained base (`backbone`), the start of the hash of its weights (`weights`) and what
            its features were computed with (`runtime`); empty if the network was trained from scratch.
        answers: what the calibrated network says about the validation pictures, float64 `(n, classes)`.
        final: scores on the validation pictures, as `finish` returns them.
    """

    network: keras.Model
    fit: Fit
    used: dict[str, str]
    answers: np.ndarray
    final: dict[str, float]


def train_recipe(class_count: int, train: Labelled, validation: Labelled, plan: Plan, hooks: Hooks) -> Trained:
    """Train the network that the plan's recipe describes, on all devices of the plan's kind.

    Args:
        class_count: number of classes.
        train: the training pictures and their labels.
        validation: the same for validation.
        plan: how to train, as `settle` returns it.
        hooks: what to do after each epoch.

    Raises:
        UserError: a picture, the base or a parameter cannot be used; the kind of the error says which.
    """
    used: dict[str, str] = {}
    with own_errors(train[0], validation[0]):
        with use_all_devices(plan.device):
            if plan.recipe.backbone:
                result, used = fit_pretrained(plan.recipe.backbone, class_count, train, validation, plan, hooks)
            else:
                result = fit_from_scratch(class_count, train, validation, plan, hooks)
        network, answers, final = finish(result.model, plan, *validation)
    if result.c is not None:
        final["c"] = result.c
    return Trained(network, result, used, answers, final)


def fit_from_scratch(class_count: int, train: Subset, validation: Subset, plan: Plan, hooks: Hooks) -> Fit:
    """Train a network from `NETWORKS`, and return it in layers that Keras can load without this project."""
    network, dropout = NETWORKS[plan.recipe.network], plan.recipe.dropout
    size = None if plan.augment and plan.augment.resizes else plan.image_size
    result = fit(partial(network, size, class_count, dropout), train, validation, plan, hooks)
    saved = standard_layers(network(plan.image_size, class_count, dropout))
    saved.set_weights(result.model.get_weights())
    return replace(result, model=saved)


def fit_pretrained(
    backbone: str, class_count: int, train: Subset, validation: Subset, plan: Plan, hooks: Hooks
) -> tuple[Fit, dict[str, str]]:
    """Train on a pretrained base. The second result is `Trained.used`."""
    base = backbones.build(backbone, plan.recipe.weights, plan.image_size)
    # A file is named without its path, which means nothing elsewhere; the hash says what the file holds.
    used = {"backbone": PurePath(backbone).name, "weights": hash_weights(base)[:12], "runtime": runtime()}
    layers = hashlib.sha256(base.to_json().encode()).hexdigest()
    hooks = hooks.of(f"{used['weights']}-{layers[:12]}")
    return fit_on_base(base, train, validation, class_count, plan, hooks), used


def predict_validation(network: keras.Model, plan: Plan, pictures: Pictures) -> np.ndarray:
    """Predict the validation pictures with the fitted network, averaged over mirror images if the plan says so.

    If the base stayed frozen, only the head runs, on the features that the training has kept.

    Returns:
        Probabilities, float64 `(n, classes)`.
    """
    mirror = plan.recipe.mirror_test
    if plan.recipe.backbone and not plan.recipe.unfreeze:
        base, head = network.layers
        views = predict_probabilities(head, compute_features(base, pictures, "validation pictures", mirror=mirror))
        mean: np.ndarray = views.reshape(-1, len(pictures), views.shape[1]).mean(axis=0)
        return mean
    return predict_probabilities(average_over_mirror(network) if mirror else network, pictures)


def finish(
    network: keras.Model, plan: Plan, pictures: Pictures, labels: np.ndarray
) -> tuple[keras.Model, np.ndarray, dict[str, float]]:
    """Calibrate the network and, if the plan says so, average its answers over both mirror images.

    Args:
        network: the fitted network.
        plan: how it was trained.
        pictures: the validation pictures.
        labels: their labels, integers `(n,)`.

    Returns:
        The network to save, its probabilities for the validation pictures, float64 `(n, classes)`, and numbers: its
        `temperature`, the share of the validation pictures that it gets right, `final_val_acc`, and `final_val_loss`,
        its cross-entropy in nats.
    """
    predicted = predict_validation(network, plan, pictures)
    temperature = round(fit_temperature(predicted, labels), 4)
    predicted = scale(predicted, temperature)
    right = (predicted.argmax(axis=1) == labels).mean()
    loss = -np.log(predicted[np.arange(len(labels)), labels]).mean()
    final = {"temperature": temperature, "final_val_acc": float(right), "final_val_loss": float(loss)}
    network = with_temperature(average_over_mirror(network) if plan.recipe.mirror_test else network, temperature)
    return network, predicted, final
