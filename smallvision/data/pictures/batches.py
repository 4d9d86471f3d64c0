"""Arrays of pictures -> batches for Keras: the generator input, and its evaluation twin."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from smallvision.core.params import Augment
from smallvision.data.pictures.loading import Pictures
from smallvision.training import augment

Inputs = Pictures | np.ndarray  # uint8 pictures `(n, size, size, 3)`, or float32 features `(n, ...)`
EVALUATION_BATCH = 32  # pictures; 100 take 0.6 GB more, in the activations of the first layers
FEATURES_BATCH = 1000  # of vectors, where overhead counts
PARALLEL = 4  # batches in the making; more would wait for Python


def training_batches(
    pictures: Inputs,
    labels: np.ndarray,
    batch_size: int,
    seed: int,
    options: Augment | None = None,
    first_epoch: int = 0,
    epochs: int | None = None,
) -> tf.data.Dataset:
    """Yield the training pictures for ever, each epoch in an order of its own.

    Order and augmentation are functions of (seed, epoch, picture), so training that starts again at an
    epoch sees the same batches; `mixup` mixes within a batch. The last batch of an epoch holds what is left over.

    Args:
        pictures: uint8, or float32 features, which stay as they are.
        labels: array `(n,)`, or `(n, classes)` of shares.
        batch_size: pictures per batch.
        seed: of order and augmentation.
        options: of the augmentation, if any.
        first_epoch: the epoch to start with, from 0.
        epochs: of the training, in which pictures grow if the options say so; None: they have their last size.

    Returns:
        Batches of float32 `(batch, side, side, 3)` in [0, 1], and float32 labels `(batch, ...)`.
    """
    fetch, count = _fetcher(pictures, labels), len(pictures)
    alpha = options.mixup if options else 0

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)
        draws = augment.draw(count, key) if options else {}
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
        if not alpha:
            return batch, targets
        # Each with the one before it in the batch.
        others = tf.roll(batch, 1, axis=0), tf.roll(targets, 1, axis=0)
        return augment.mix((batch, targets), others, rows["share"])

    numbers = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return numbers.flat_map(one_epoch).map(prepare, num_parallel_calls=PARALLEL).prefetch(4)


def evaluation_batches(pictures: Inputs, labels: np.ndarray) -> tf.data.Dataset:
    """Yield every picture once, in order; the same shapes and ranges as `training_batches`."""
    batch_size = EVALUATION_BATCH if len(pictures.shape) == 4 else FEATURES_BATCH
    order = tf.data.Dataset.range(len(pictures)).batch(batch_size)
    return order.map(_fetcher(pictures, labels), num_parallel_calls=1).prefetch(2)


def _fetcher(pictures: Inputs, labels: np.ndarray) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function from indices to a batch. Pictures stay uint8 until then: a quarter of the memory."""
    with tf.device("cpu"):
        all_labels = tf.constant(labels, tf.float32)

    def fetch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Not a constant of TensorFlow's, which would be a second copy, and could not be read from disk.
        batch = tf.ensure_shape(
            tf.numpy_function(pictures.__getitem__, [indices], pictures.dtype), (None, *pictures.shape[1:])
        )
        return (tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else batch), tf.gather(all_labels, indices)

    return fetch
