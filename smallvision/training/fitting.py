"""Compile and fit a network, and keep its best epoch."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from smallvision.core.errors import DivergedError, duration
from smallvision.core.process import check_stopped
from smallvision.data.pictures.batches import evaluation_batches
from smallvision.data.pictures.loading import Examples
from smallvision.training.batches import balanced_weights, training_batches, weigher
from smallvision.training.checkpoints import State
from smallvision.training.history import HISTORY_KEYS, History, find_best, is_over
from smallvision.training.hooks import Hooks
from smallvision.training.optimizers import make_optimizer, schedule_lr
from smallvision.training.plan import Plan

CROSS_ENTROPY = "cross_entropy"
# Keras' names for the arithmetic of a plan that `settle` has returned; the weights stay float32 in both.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

Subset = tuple[Examples, np.ndarray]  # pictures or features, and their labels


@dataclass(frozen=True)
class Fit:
    """A fitted network with the weights of its best epoch, in float32.

    Attributes:
        model: the network.
        history: its epochs; a logistic regression, which has none, has one row.
        earlier: how many seconds earlier runs of this training spent on the epochs after which it went on.
        c: the strength of the penalty that a logistic regression was fitted with; None for other networks.
    """

    model: keras.Model
    history: History
    earlier: float = 0.0
    c: float | None = None

    @property
    def best_epoch(self) -> int:
        """The number of the epoch that was kept, from 1."""
        return find_best(self.history)

    @property
    def best(self) -> dict[str, float]:
        """The row of the history for that epoch."""
        return self.history[self.best_epoch - 1]


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Remember the best epoch, stop at a loss that is not a number, and print a line where no bar is shown."""

    def __init__(self, model: keras.Model, plan: Plan, hooks: Hooks, *, show_lines: bool) -> None:
        super().__init__()
        self.set_model(model)
        self.weights: Sequence[np.ndarray] = []
        self.history: list[dict[str, float]] = []
        self.earlier = 0.0
        self._begin = time.monotonic()
        self._plan = plan
        self._hooks = hooks
        self._show_lines = show_lines

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch, self._start = epoch + 1, time.monotonic()

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        check_stopped()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        check_stopped()
        self._require_finite("loss", logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        row = {key: float(logs[key.replace("loss", CROSS_ENTROPY)]) for key in HISTORY_KEYS}
        self._require_finite("validation loss", row["val_loss"])
        self.history.append(row)
        better = find_best(self.history) == self._epoch
        if better:
            self.weights = self.model.get_weights()
        if self._hooks.checkpoints:
            variables = [variable.numpy() for variable in _variables(self.model)]
            seconds = self.earlier + time.monotonic() - self._begin
            self._hooks.checkpoints.save(State(variables, self.weights, self.history, seconds))
        for report in self._hooks.reports:
            report(self.history)
        if self._show_lines:
            values = "  ".join(f"{key} {value:.4f}" for key, value in row.items())
            seconds = time.monotonic() - self._start
            epochs = self.params["epochs"]
            left = f"  {duration((epochs - self._epoch) * seconds)} left" if self._epoch < epochs else ""
            line = f"epoch {self._epoch}/{epochs}  {seconds:.1f} s  {values}{left}{'  best' if better else ''}"
            print(line, flush=True)
        if is_over(self.history, self._plan.recipe.patience):
            self.model.stop_training = True

    def _require_finite(self, name: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"the {name} became {loss} in epoch {self._epoch} at lr {self._plan.lr:g}; lower `lr`")

    def go_on(self, state: State) -> None:
        """Put the network and its optimizer into the state in which an earlier run ended."""
        self.model.optimizer.build(self.model.trainable_variables)
        for variable, value in zip(_variables(self.model), state.variables, strict=True):
            variable.assign(value)
        self.weights, self.history, self.earlier = state.best, list(state.history), state.seconds
        epochs = self._plan.epochs
        print(f"going on after epoch {len(self.history)} of {epochs}, where an earlier run ended", flush=True)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Return everything that the next epoch starts from. The model's variables include the states of dropout."""
    return [*model.variables, *model.optimizer.variables]


def label_columns(labels: np.ndarray, units: int) -> np.ndarray:
    """Return integer labels `(n,)` as columns `(n, units)` of 0 and 1, which can be mixed; two classes share one."""
    columns: np.ndarray = (np.array([[0], [1]]) if units == 1 else np.eye(units))[labels]
    return columns


def compile_network(
    model: keras.Model, optimizer: keras.Optimizer, label_smoothing: float, steps_per_execution: int = 1
) -> None:
    """Compile a network for labels as `label_columns` returns them.

    Args:
        model: the network; one output is the probability of the second of two classes.
        optimizer: the optimizer.
        label_smoothing: share of each label that the loss spreads over all classes, in [0, 1). The metric
            `cross_entropy` takes the labels as they are.
        steps_per_execution: training steps that TensorFlow runs at a time.
    """
    loss, cross_entropy = (
        (keras.losses.BinaryCrossentropy, keras.metrics.BinaryCrossentropy)
        if model.output_shape[-1] == 1
        else (keras.losses.CategoricalCrossentropy, keras.metrics.CategoricalCrossentropy)
    )
    model.compile(
        optimizer=optimizer,
        loss=loss(label_smoothing=label_smoothing),
        weighted_metrics=["acc", cross_entropy(name=CROSS_ENTROPY)],
        steps_per_execution=steps_per_execution,
    )


def fit(build: Callable[[], keras.Model], train: Subset, validation: Subset, plan: Plan, hooks: Hooks) -> Fit:
    """Train a network and keep the epoch with the best validation accuracy.

    With checkpoints, a training that was interrupted goes on after its last complete epoch, to the same result bit for
    bit. The losses in the history, and with them the choice of the best epoch, leave label smoothing out. If the plan
    balances the classes, the class weights apply to every loss and accuracy, those of validation included, so `val_acc`
    is the balanced accuracy if both subsets have the same proportions of classes.

    Args:
        build: returns the network under the dtype policy that is set when it is called. It is called twice.
        train: pictures or features, and integer labels `(n,)`.
        validation: the same for validation, never changed at random.
        plan: how to train.
        hooks: what to do after each epoch.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    keras.utils.set_random_seed(plan.seed)
    keras.config.set_dtype_policy(POLICIES[plan.precision])
    model = build()
    steps = math.ceil(len(train[0]) / plan.batch_size)
    # A step on features is so short that Python would take most of the time. So TensorFlow runs a whole epoch at once.
    at_once = 1 if len(train[0].shape) == 4 else steps
    optimizer = make_optimizer(plan.recipe, schedule_lr(plan, plan.epochs * steps))
    compile_network(model, optimizer, plan.recipe.label_smoothing, at_once)
    on_terminal = sys.stdout.isatty()
    watch = _Watch(model, plan, hooks, show_lines=not on_terminal)
    if hooks.checkpoints:
        if state := hooks.checkpoints.load():
            watch.go_on(state)
        else:
            hooks.checkpoints.require_space(model.get_weights())
    done = len(watch.history)
    batches = _batches(train, validation, plan, units=model.output_shape[-1], first_epoch=done)
    model.fit(
        batches[0],
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=done if is_over(watch.history, plan.recipe.patience) else plan.epochs,
        validation_data=batches[1],
        shuffle=False,  # training_batches shuffles each epoch anew
        verbose=1 if on_terminal else 0,
        callbacks=[watch],
    )
    # The network is built again, so that the saved one computes in float32 on whatever machine it is used.
    keras.config.set_dtype_policy("float32")
    best = build()
    best.set_weights(watch.weights)
    return Fit(best, watch.history, watch.earlier)


def _batches(
    train: Subset, validation: Subset, plan: Plan, *, units: int, first_epoch: int
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Return the batches of training and of validation for a network with `units` outputs."""
    (pictures, labels), (held_out, held_out_labels) = train, validation
    batches = (
        training_batches(
            pictures, label_columns(labels, units), plan.batch_size, plan.seed, plan.augment, first_epoch, plan.epochs
        ),
        evaluation_batches(held_out, label_columns(held_out_labels, units)),
    )
    if plan.class_weights == "none":
        return batches
    weigh = weigher(balanced_weights(labels))
    return batches[0].map(weigh), batches[1].map(weigh)
