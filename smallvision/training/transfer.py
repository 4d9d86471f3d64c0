"""Training on a pretrained base: a head on its features, then, if asked for, its last layers too.

The steps are those of F. Chollet, *Deep Learning with Python*, 2017, section 5.3: put a new head on the base, freeze
the base, train the head, unfreeze the last layers, train both at a low rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers

from smallvision.core.errors import ParameterError
from smallvision.core.params import Recipe
from smallvision.data.pictures.loading import Pictures
from smallvision.models.convnet import output_layer
from smallvision.training.batches import balanced_weights
from smallvision.training.calibration import SMALLEST
from smallvision.training.features import compute_features
from smallvision.training.fitting import Fit, Subset, fit
from smallvision.training.history import find_best
from smallvision.training.hooks import Hooks
from smallvision.training.logistic import fit_logistic
from smallvision.training.plan import Plan

Data = tuple[Subset, Subset]  # of training and of validation


@dataclass(frozen=True)
class Head:
    """The classifier on top of a base: a dense layer of `units` (0: none), dropout, and an output for each class."""

    units: int
    dropout: float
    feature_count: int
    class_count: int

    def build(self) -> keras.Model:
        """Build the network from pooled features to probabilities."""
        hidden = [layers.Dense(self.units, activation="relu")] if self.units else []
        drop = [layers.Dropout(self.dropout)] if self.dropout else []
        entry, output = keras.Input((self.feature_count,)), output_layer(self.class_count)
        return keras.Sequential([entry, *hidden, *drop, output], name="head")


def freeze_and_pool(base: keras.Model, recipe: Recipe, class_count: int) -> tuple[keras.Model, Head]:
    """Return the base, frozen and with its feature maps pooled to a vector, and the head that fits on it."""
    base.trainable = False
    pooling = layers.GlobalAveragePooling2D if recipe.pooling == "average" else layers.Flatten
    pooled = keras.Model(base.input, pooling(name="pooling")(base.output), name=base.name)
    units, dropout = (0, 0.0) if recipe.head == "logistic" else (recipe.units, recipe.dropout)
    return pooled, Head(units, dropout, pooled.output_shape[-1], class_count)


def fit_on_base(
    base: keras.Model, train: Subset, validation: Subset, class_count: int, plan: Plan, hooks: Hooks
) -> Fit:
    """Train a head on a frozen base, then the base's last layers too if the recipe unfreezes them.

    Pictures pass frozen layers once, and what comes out is kept between runs; only augmented pictures pass them in
    every epoch. If a second phase follows, the head is trained without augmentation, because the second phase augments
    the pictures anyway, and so that only one phase takes the time for it.

    Args:
        base: a model `(batch, size, size, 3)`, RGB in [0, 1] -> `(batch, height, width, channels)`, in which no model
            is nested.
        train: pictures and integer labels `(n,)`.
        validation: the same for validation.
        class_count: number of classes.
        plan: how to train the head; `plan.second_phase()` says how to train both.
        hooks: what to do after each epoch of either phase.

    Returns:
        The best network of all epochs, from pictures to probabilities, and the history of both phases.

    Raises:
        ParameterError: the recipe's `unfreeze` names no layer that can be trained.
    """
    trainable = unfrozen_layers(base, plan.recipe.unfreeze)
    base, head = freeze_and_pool(base, plan.recipe, class_count)
    if not trainable:
        return _fit_head(base, head, (train, validation), plan, hooks)
    if plan.augment:
        return _fit_head_then_layers(base, head, trainable, (train, validation), plan, hooks)
    return _fit_above_cut(base, head, trainable, (train, validation), plan, hooks)


def _fit_head(base: keras.Model, head: Head, data: Data, plan: Plan, hooks: Hooks) -> Fit:
    """Train a head on a frozen base, which augmented pictures pass in every epoch, and unchanged ones only once."""
    if plan.recipe.head == "logistic":
        return _fit_logistic(base, head, data, plan, hooks)
    if plan.augment:
        return fit(lambda: join(base, head.build()), *data, plan, hooks)
    result = fit(head.build, *_outputs_of(base, data, mirror=plan.recipe.mirror), plan, hooks)
    return replace(result, model=join(base, result.model))


def _fit_logistic(base: keras.Model, head: Head, data: Data, plan: Plan, hooks: Hooks) -> Fit:
    """Fit a logistic regression on a frozen base. The history has one row, with the numbers of the fitted network."""
    (train, labels), (validation, validation_labels) = data
    views = compute_features(base, train, "training pictures", mirror=plan.recipe.mirror)
    views = views.reshape(-1, len(labels), head.feature_count)
    held_out = compute_features(base, validation, "validation pictures")[np.newaxis]
    balanced = plan.class_weights == "balanced"
    groups = train.groups if isinstance(train, Pictures) else np.arange(len(labels))
    fitted = fit_logistic(views, labels, groups, balanced=balanced)
    layer = head.build()
    layer.set_weights([fitted.kernel, fitted.bias])
    weights = balanced_weights(labels) if balanced else dict.fromkeys(range(head.class_count), 1.0)
    acc, loss = score_row(fitted.probabilities(views), labels, weights)
    val_acc, val_loss = score_row(fitted.probabilities(held_out), validation_labels, weights)
    history = [{"acc": acc, "loss": loss, "val_acc": val_acc, "val_loss": val_loss}]
    for report in hooks.reports:
        report(history)
    return Fit(join(base, layer), history, c=fitted.c)


def score_row(probabilities: np.ndarray, labels: np.ndarray, weights: Mapping[int, float]) -> tuple[float, float]:
    """Return the accuracy and the cross-entropy in nats, in which pictures count by the weight of their class.

    Args:
        probabilities: float64 `(n, classes)`.
        labels: integer array `(n,)`.
        weights: the weight of each class.
    """
    each = np.array([weights[label] for label in labels.tolist()])
    right = probabilities.argmax(axis=1) == labels
    losses = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], SMALLEST, 1))
    return float(np.average(right, weights=each)), float(np.average(losses, weights=each))


def _fit_head_then_layers(
    base: keras.Model, head: Head, trainable: Sequence[layers.Layer], data: Data, plan: Plan, hooks: Hooks
) -> Fit:
    """Train a head on unchanged pictures, then the last layers too, on augmented ones."""
    first = _fit_head(base, head, data, replace(plan, augment=None), hooks)
    return _fit_further(first, trainable, data, plan.second_phase(), hooks)


def _fit_above_cut(
    base: keras.Model, head: Head, trainable: Sequence[layers.Layer], data: Data, plan: Plan, hooks: Hooks
) -> Fit:
    """Train a head, then the last layers too, on pictures that are not augmented.

    The base is cut before its first unfrozen layer. The pictures pass the part below the cut once, and the part above
    it once to train the head, then in every epoch of the second phase.
    """
    cut = find_cut(base, trainable[0])
    above = keras.Model(cut, base.output, name="above")
    at_cut = _outputs_of(keras.Model(base.input, cut, name="below"), data, mirror=plan.recipe.mirror)
    first = fit(head.build, *_outputs_of(above, at_cut, mirror=False), plan, hooks)
    first = replace(first, model=join(above, first.model))
    result = _fit_further(first, trainable, at_cut, plan.second_phase(), hooks)
    return replace(result, model=join(base, result.model.layers[-1]))


def _outputs_of(frozen: keras.Model, data: Data, *, mirror: bool) -> Data:
    """Return what a frozen network makes of both subsets; `mirror` adds the mirror images of the training pictures."""
    (train, labels), (validation, validation_labels) = data
    return (
        (compute_features(frozen, train, "training pictures", mirror=mirror), np.tile(labels, 2) if mirror else labels),
        (compute_features(frozen, validation, "validation pictures"), validation_labels),
    )


def _fit_further(first: Fit, trainable: Sequence[layers.Layer], data: Data, plan: Plan, hooks: Hooks) -> Fit:
    """Train the unfrozen layers and the head of `first` further, and keep the best epoch of both phases."""
    for layer in trainable:
        layer.trainable = True
    before = first.model.get_weights()
    second = fit(lambda: first.model, *data, plan, hooks.of("top").after(first.history))
    history, earlier = [*first.history, *second.history], first.earlier + second.earlier
    if find_best(history) > len(first.history):
        return replace(second, history=history, earlier=earlier)
    first.model.set_weights(before)
    return replace(first, history=history, earlier=earlier)


def join(base: keras.Model, head: keras.Model) -> keras.Model:
    """Return one network of a base and a head. It shares their weights."""
    return keras.Sequential([keras.Input(base.input_shape[1:]), base, head])


def unfrozen_layers(base: keras.Model, unfreeze: int | str | None) -> Sequence[layers.Layer]:
    """Return the layers of a base to train, without batch normalisation.

    Batch normalisation stays frozen, which keeps it in inference mode, because its statistics get worse with few
    pictures.

    Args:
        base: the base.
        unfreeze: how many last layers, the name of the first layer, or `all`; None: no layer.

    Raises:
        ParameterError: there is no layer of that name, or none of the layers has weights to train.
    """
    if unfreeze is None:
        return []
    names = [layer.name for layer in base.layers]
    if unfreeze == "all":
        unfreeze = len(names)
    if isinstance(unfreeze, str) and unfreeze not in names:
        raise ParameterError(
            f"params.yaml: unfreeze: the base has no layer {unfreeze!r}; its last ones: {', '.join(names[-8:])}"
        )
    start = names.index(unfreeze) if isinstance(unfreeze, str) else max(len(names) - unfreeze, 0)
    found = [
        layer for layer in base.layers[start:] if layer.weights and not isinstance(layer, layers.BatchNormalization)
    ]
    if not found:
        raise ParameterError(
            f"params.yaml: unfreeze: no layer with weights among the last {len(names) - start} of the base"
        )
    return found


def find_cut(base: keras.Model, first: layers.Layer) -> keras.KerasTensor:
    """Return the last tensor before `first` from which alone all later operations are computed.

    No residual connection goes around it, so a base can be cut in two there.
    """
    operations = [operation for operation in base.operations if not isinstance(operation, layers.InputLayer)]
    made = {id(operation.output): index for index, operation in enumerate(operations)}
    # For each operation, the index of the earliest operation whose output it reads; -1 stands for the picture.
    reads = [
        min(made.get(id(tensor), -1) for tensor in keras.tree.flatten(operation.input)) for operation in operations
    ]
    behind = operations.index(first)
    for index in range(behind - 1, -1, -1):
        if min(reads[index + 1 :]) >= index:
            return operations[index].output
    return base.input
