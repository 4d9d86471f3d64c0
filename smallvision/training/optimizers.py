"""Optimizers, and the schedule of their step size."""

from typing import TypeAlias

import keras
import tensorflow as tf

from smallvision.core.params import Recipe
from smallvision.training.plan import Plan

StepSize: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def make_optimizer(recipe: Recipe, lr: StepSize) -> keras.Optimizer:
    """Return the optimizer that a recipe names, with this step size and the recipe's weight decay."""
    if recipe.optimizer == "muon":
        return KernelMuon(lr, recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(lr, weight_decay=recipe.weight_decay)
    return keras.optimizers.RMSprop(lr)


def schedule_lr(plan: Plan, steps: int) -> StepSize:
    """Return the step size of a training: constant, or rising at first and then falling to 0 along a cosine.

    Args:
        plan: gives the highest step size, `lr`, and in its recipe `schedule` and `warmup`.
        steps: number of steps of the training.
    """
    if plan.recipe.schedule == "constant":
        return plan.lr
    rising = min(round(plan.recipe.warmup * steps), steps - 1)
    cosine = keras.optimizers.schedules.CosineDecay
    if not rising:
        return cosine(plan.lr, steps)
    return cosine(0.0, steps - rising, warmup_target=plan.lr, warmup_steps=rising)


class KernelMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for the kernels of convolutions, and AdamW with the same step size and decay for all other weights.

    A gradient, read as a matrix, changes the weights much more in some directions than in others, so these directions
    are learnt first and the others hardly at all. Muon therefore replaces the step by the nearest matrix whose
    directions all have the same length (an orthogonal one). It does so in three steps:

    1. The momentum of a kernel `(height, width, inputs, outputs)` is read as a matrix with `outputs` columns.
    2. A few rounds of Newton and Schulz's iteration, matrix products only, bring it near the orthogonal matrix.
    3. The result is scaled so that a step size that suits AdamW suits it too.

    Keras' own Muon leaves the kernels of convolutions to AdamW.

    Args:
        lr: step size, such as AdamW would take.
        weight_decay: in each step, each weight loses `lr * weight_decay` of itself.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the scale from Liu et al.,
    "Muon is Scalable for LLM Training", 2025, section 2.2.
    """

    def __init__(self, lr: StepSize, weight_decay: float) -> None:
        super().__init__(lr, weight_decay=weight_decay, adam_weight_decay=weight_decay)
        self._arithmetic = keras.config.dtype_policy().compute_dtype

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        # AdamW also takes the kernel on a picture's three colours, because Muon is made for hidden layers, and kernels
        # with a single column, which have only one direction.
        return len(variable.shape) != 4 or variable.shape[2] <= 3 or variable.shape[3] == 1

    def _muon_update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, lr: tf.Tensor, momentum: keras.Variable
    ) -> None:
        self.assign_add(momentum, gradient + momentum * (self.momentum - 1))
        ahead = gradient + self.momentum * momentum  # Nesterov's momentum
        matrix = tf.cast(tf.reshape(ahead, (-1, gradient.shape[-1])), self._arithmetic)
        step = tf.cast(self.zeropower_via_newtonschulz5(matrix, self.ns_steps), variable.dtype)
        self.assign_sub(variable, tf.reshape(self.lr_adjust(lr * step), variable.shape))
