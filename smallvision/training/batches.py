"""Training pictures in batches for Keras: shuffled, changed at random, weighted by class.

Their evaluation twin, `evaluation_batches`, is in `data/pictures/batches.py`.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from smallvision.core.params import Augment
from smallvision.data.pictures.batches import fetcher
from smallvision.data.pictures.loading import Examples
from smallvision.training import augment

PARALLEL = 4  # batches that are made at the same time; more would only wait for Python

Weigh = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def training_batches(
    pictures: Examples,
    labels: np.ndarray,
    batch_size: int,
    seed: int,
    options: Augment | None = None,
    first_epoch: int = 0,
    epochs: int | None = None,
) -> tf.data.Dataset:
    """Yield the training pictures for ever, each epoch in an order of its own.

    Order and augmentation are functions of (seed, epoch, picture), so a training that starts again at an epoch sees
    the same batches. The last batch of an epoch holds what is left over.

    Args:
        pictures: uint8 pictures `(n, size, size, 3)`, or float32 features, which stay as they are.
        labels: array `(n,)`, or `(n, classes)` with the share of each class.
        batch_size: pictures in each batch.
        seed: the seed of order and augmentation.
        options: options of the augmentation; None leaves the pictures as they are.
        first_epoch: the epoch to start with, from 0.
        epochs: epochs of the training, during which pictures grow if the options say so; None keeps their last size.

    Returns:
        Batches of float32 `(batch, side, side, 3)` in [0, 1], and float32 labels `(batch, ...)`.
    """
    fetch, count = fetcher(pictures, labels), len(pictures)
    alpha = options.mixup if options else 0

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)
        draws = augment.draw_numbers(count, key) if options else {}
        rows = {"index": order} | {name: tf.gather(numbers, order) for name, numbers in draws.items()}
        if alpha:
            rows["share"] = tf.gather(augment.draw_shares(count, key, alpha), order)
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
        if options is None or options.first_size is None or epochs is None:
            return batches.map(lambda rows: (rows,))
        side = augment.side_in(epoch, epochs, options.first_size, options.size or pictures.shape[1])
        return batches.map(lambda rows: (rows, side))

    def prepare(rows: dict[str, tf.Tensor], side: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        batch, targets = fetch(rows["index"])
        if options:
            batch = augment.augment(batch, rows, options, side)
        return augment.mix_with_neighbours(batch, targets, rows["share"]) if alpha else (batch, targets)

    numbers = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return numbers.flat_map(one_epoch).map(prepare, num_parallel_calls=PARALLEL).prefetch(4)


def balanced_weights(labels: np.ndarray) -> dict[int, float]:
    """Return n / (classes * pictures of the class) for each class, so that all classes count alike.

    The mean weight of all pictures is 1, so the step size keeps its meaning.

    Args:
        labels: integer array `(n,)`, in which every class occurs.

    Source: G. King and L. Zeng, "Logistic Regression in Rare Events Data", Political Analysis 9 (2001), as implemented
    by scikit-learn.
    """
    classes = np.unique(labels)
    weights = compute_class_weight("balanced", classes=classes, y=labels)
    return {int(index): float(weight) for index, weight in zip(classes, weights, strict=True)}


def weigher(weights: Mapping[int, float]) -> Weigh:
    """Return a function that gives each picture of a batch its weight in the cross-entropy.

    Keras' own `class_weight` rounds mixed labels to one class. Here the weighted loss of a mixed picture is the mean of
    its classes' weighted losses, sum(y w (-log p)). That is the plain loss of the label y w / sum(y w), times sum(y w).

    Args:
        weights: the positive weight of each class, with the keys 0 to classes - 1.

    Returns:
        A function from pictures and float32 labels to pictures, labels and float32 weights `(batch,)`. The labels are
        shares of classes, `(batch, classes)`, or `(batch, 1)` with the share of the second of two classes.
    """
    values = tf.constant([weights[index] for index in sorted(weights)], tf.float32)

    def weigh(pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        one_column = labels.shape[1] == 1
        shares = tf.concat([1 - labels, labels], axis=1) if one_column else labels
        weighted = shares * values
        total = tf.reduce_sum(weighted, axis=1)
        new = weighted / total[:, None]
        return pictures, (new[:, 1:] if one_column else new), total

    return weigh
