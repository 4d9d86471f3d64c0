"""Batch normalisation that is fast in training, and Keras' own layer in its place in the network that is saved."""

import keras
import tensorflow as tf
from keras import Model, layers


class FusedNormalisation(layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation over the last axis in one TensorFlow operation, where Keras' layer runs a dozen.

    Its arguments, weights and outputs are those of `keras.layers.BatchNormalization`; its inputs are feature maps
    `(batch, height, width, channels)`.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Normalise with the batch's statistics in training, and with the moving averages otherwise."""
        learning = bool(training and self.trainable)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma.value,
            self.beta.value,
            None if learning else self.moving_mean.value,
            None if learning else self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
            # TensorFlow returns an estimate of the population's variance, but Keras averages the batch's own variance.
            variance *= (count - 1) / count
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return outputs


def standard_layers(network: Model) -> Model:
    """Return the same network with new weights, built of layers that Keras can load without this project."""

    def standard(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.BatchNormalization):
            return layers.BatchNormalization.from_config(layer.get_config() | {"synchronized": False})
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=standard)
