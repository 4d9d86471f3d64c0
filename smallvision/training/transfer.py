"""Training on a pretrained base: a head on its features, then, if asked for, its last layers too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from smallvision.core.errors import ParameterError
from smallvision.core.params import Augment
from smallvision.models.convnet import output_layer
from smallvision.training.checkpoints import Checkpoints
from smallvision.training.features import compute_features
from smallvision.training.fitting import Fit, History, Subset, find_best, fit


@dataclass(frozen=True)
class Head:
    """The classifier on top of a base: pooling, a dense layer of `units` (0: none), dropout, output."""

    pooling: Literal["average", "flatten"]
    units: int
    dropout: float

    def pool(self, base: keras.Model) -> keras.Model:
        """Return the base with its feature maps pooled to a vector."""
        pooling = layers.GlobalAveragePooling2D if self.pooling == "average" else layers.Flatten
        return keras.Model(base.input, pooling(name="pooling")(base.output), name=base.name)

    def build(self, feature_count: int, class_count: int) -> keras.Model:
        """Build the network from pooled features to probabilities."""
        hidden = [layers.Dense(self.units, activation="relu")] if self.units else []
        drop = [layers.Dropout(self.dropout)] if self.dropout else []
        return keras.Sequential([keras.Input((feature_count,)), *hidden, *drop, output_layer(class_count)], name="head")


@dataclass(frozen=True)
class Top:
    """How the last layers of a base are trained further."""

    unfreeze: int | str
    lr: float
    epochs: int


def fit_on_base(
    base: keras.Model,
    head: Head,
    train: Subset,
    validation: Subset,
    class_count: int,
    *,
    mirror: bool,
    augment: Augment | None,
    top: Top | None,
    **options: Any,
) -> Fit:
    """Train a head on a frozen base and, with `top`, the base's last layers after that.

    The steps of the book: put a new head on the base, freeze the base, train the head, unfreeze the
    last layers, train both at a low rate. Pictures pass frozen layers once, and what comes out is kept
    between runs; only augmentation makes them pass in every epoch. With `top` the head is trained
    without it: the second phase changes the pictures anyway, and takes the time once.

    Args:
        base: RGB in [0, 1] -> `(height, width, channels)`; flat.
        head: the classifier.
        train: pictures and integer labels `(n,)`.
        validation: the same.
        class_count: number of classes.
        mirror: train on the mirror images too; of no effect where `augment` is, which has its own `flip`.
        augment: random changes of the training pictures, in front of the base; with `top`, in the second phase.
        top: which layers to train further, if any.
        options: the others of `fit`.

    Returns:
        The best network of all epochs, from pictures to probabilities; the history of both phases.

    Source: F. Chollet, *Deep Learning with Python*, 2017, section 5.3.
    """
    trainable = unfrozen_layers(base, top.unfreeze) if top else []
    base.trainable = False
    base = head.pool(base)

    def build_head() -> keras.Model:
        return head.build(base.output_shape[-1], class_count)

    def outputs_of(frozen: keras.Model) -> tuple[Subset, Subset]:
        labels = np.tile(train[1], 2) if mirror else train[1]
        return (
            (compute_features(frozen, train[0], mirror=mirror), labels),
            (compute_features(frozen, validation[0]), validation[1]),
        )

    if augment and not top:
        return fit(lambda: join(base, build_head()), train, validation, augment=augment, **options)
    if augment or not top:
        result = fit(build_head, *outputs_of(base), **options)
        result = replace(result, model=join(base, result.model))
        return _fit_top(result, trainable, (train, validation), top, augment=augment, **options) if top else result
    # Unchanged pictures pass the layers below the cut once in all; those above it once more, for the head.
    cut = find_cut(base, trainable[0])
    above = keras.Model(cut, base.output, name="above")
    at_cut = outputs_of(keras.Model(base.input, cut, name="below"))
    result = fit(build_head, *((compute_features(above, x), y) for x, y in at_cut), **options)
    result = _fit_top(replace(result, model=join(above, result.model)), trainable, at_cut, top, **options)
    return replace(result, model=join(base, result.model.layers[-1]))


def _fit_top(
    first: Fit,
    trainable: Sequence[layers.Layer],
    data: tuple[Subset, Subset],
    top: Top,
    *,
    checkpoints: Checkpoints | None = None,
    report: Callable[[History], None] | None = None,
    **options: Any,
) -> Fit:
    """Train the unfrozen layers and the head of `first` further; keep the best epoch of both phases."""
    for layer in trainable:
        layer.trainable = True
    before = first.model.get_weights()
    options |= {"lr": top.lr, "epochs": top.epochs, "checkpoints": checkpoints and checkpoints.of("top")}
    if report:
        options["report"] = lambda history: report([*first.history, *history])
    second = fit(lambda: first.model, *data, **options)
    history, earlier = [*first.history, *second.history], first.earlier + second.earlier
    if find_best(history) > len(first.history):
        return replace(second, history=history, earlier=earlier)
    first.model.set_weights(before)
    return replace(first, history=history, earlier=earlier)


def join(base: keras.Model, head: keras.Model) -> keras.Model:
    """Return one network of a base and a head; they stay shared."""
    return keras.Sequential([keras.Input(base.input_shape[1:]), base, head])


def unfrozen_layers(base: keras.Model, unfreeze: int | str) -> Sequence[layers.Layer]:
    """Return the layers to train: the last `unfreeze`, those from the one of that name on, or `all`.

    Batch normalisation is left out: with few pictures, its statistics get worse, and with
    `trainable` false it stays in inference mode.

    Raises:
        ParameterError: there is no such layer, or none with weights behind it.
    """
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
    """Return the last tensor before `first` that all later operations depend on alone.

    No residual connection crosses it, so a base can be cut in two there.
    """
    operations = [operation for operation in base.operations if not isinstance(operation, layers.InputLayer)]
    made = {id(operation.output): index for index, operation in enumerate(operations)}
    # How far back each operation reads; -1 is the picture.
    reads = [
        min(made.get(id(tensor), -1) for tensor in keras.tree.flatten(operation.input)) for operation in operations
    ]
    behind = operations.index(first)
    for index in range(behind - 1, -1, -1):
        if min(reads[index + 1 :]) >= index:
            return operations[index].output
    return base.input
