"""Class weights: a mistake counts for more, the fewer pictures its class has."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

Weigh = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def balanced_weights(labels: np.ndarray) -> dict[int, float]:
    """Return n / (classes * pictures of the class) for each class, so that all classes count alike.

    The mean over all pictures is 1, so the step size keeps its meaning.

    Args:
        labels: integer array `(n,)`, in which every class occurs.

    Source: G. King and L. Zeng, "Logistic Regression in Rare Events Data", Political Analysis 9
    (2001), as implemented by scikit-learn.
    """
    classes = np.unique(labels)
    weights = compute_class_weight("balanced", classes=classes, y=labels)
    return {int(index): float(weight) for index, weight in zip(classes, weights, strict=True)}


def weigher(weights: Mapping[int, float]) -> Weigh:
    """Return a function that weighs a batch for cross-entropy.

    Keras' own `class_weight` rounds mixed labels to one class. The weighted loss of a mixed picture
    is the mean of its classes' weighted losses, sum(y w (-log p)); that is the plain loss of the
    label y w / sum(y w), times sum(y w).

    Returns:
        A function from pictures and float32 labels, `(batch, 1)` shares of the second of two classes or
        `(batch, classes)`, to pictures, labels and a weight `(batch,)` of each picture.
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
