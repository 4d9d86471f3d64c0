"""Batches of examples for Keras: in order, for evaluation, and by index, for the batches of training."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from smallvision.data.pictures.loading import Examples

EVALUATION_BATCH = 32  # pictures; 100 need 0.6 GB more memory, for the activations of the first layers
FEATURES_BATCH = 1000  # vectors are small, so most of the time of a small batch would be overhead


def evaluation_batches(examples: Examples, labels: np.ndarray) -> tf.data.Dataset:
    """Yield every example once, in order.

    Its twin for training is `training_batches` in `smallvision/training/batches.py`.

    Args:
        examples: pictures or features.
        labels: array `(n,)`, or `(n, classes)` with the share of each class.

    Returns:
        Batches of float32 `(batch, size, size, 3)` in [0, 1], or of features as they are, with float32 labels.
    """
    batch_size = EVALUATION_BATCH if len(examples.shape) == 4 else FEATURES_BATCH
    order = tf.data.Dataset.range(len(examples)).batch(batch_size)
    return order.map(fetcher(examples, labels), num_parallel_calls=1).prefetch(2)


def fetcher(examples: Examples, labels: np.ndarray) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function for `tf.data` that takes integer indices `(batch,)` and returns these examples and labels.

    The shapes and ranges are those of `evaluation_batches`. Pictures become float32 only in the batch, because as uint8
    they take a quarter of the memory.
    """
    with tf.device("cpu"):
        all_labels = tf.constant(labels, tf.float32)

    def fetch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A constant of TensorFlow would hold a second copy of the examples, and could not be read from disk.
        batch = tf.ensure_shape(
            tf.numpy_function(examples.__getitem__, [indices], examples.dtype), (None, *examples.shape[1:])
        )
        return (tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else batch), tf.gather(all_labels, indices)

    return fetch
