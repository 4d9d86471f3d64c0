"""Muon for the kernels of convolutions."""

import keras
import tensorflow as tf


class KernelMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for convolution kernels, AdamW with the same step size and decay for all other weights.

    The momentum of a kernel `(height, width, inputs, outputs)`, read as a matrix of `outputs` columns, is brought near
    the orthogonal matrix next to it, so that no direction of it is learnt much faster than another. Its scale is such
    that a step size of AdamW's fits. Keras' own leaves kernels to AdamW.

    Args:
        lr: step size.
        weight_decay: share of each weight taken off per step, times `lr`.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the scale from Liu et al.,
    "Muon is Scalable for LLM Training", 2025, section 2.2.
    """

    def __init__(self, lr: float | keras.optimizers.schedules.LearningRateSchedule, weight_decay: float) -> None:
        super().__init__(lr, weight_decay=weight_decay, adam_weight_decay=weight_decay)
        self._arithmetic = keras.config.dtype_policy().compute_dtype

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        # Also those on a picture's three colours, as its first layer is no hidden one, and those of a single column.
        return len(variable.shape) != 4 or variable.shape[2] <= 3 or variable.shape[3] == 1

    def _muon_update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, lr: tf.Tensor, momentum: keras.Variable
    ) -> None:
        self.assign_add(momentum, gradient + momentum * (self.momentum - 1))
        ahead = gradient + self.momentum * momentum  # Nesterov's
        matrix = tf.cast(tf.reshape(ahead, (-1, gradient.shape[-1])), self._arithmetic)
        step = tf.cast(self.zeropower_via_newtonschulz5(matrix, self.ns_steps), variable.dtype)
        self.assign_sub(variable, tf.reshape(self.lr_adjust(lr * step), variable.shape))
