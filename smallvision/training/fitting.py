"""Compile and fit a network, and keep its best epoch."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from smallvision.core.errors import DivergedError, check_stopped
from smallvision.core.params import Augment
from smallvision.data.pictures.batches import Inputs, evaluation_batches, training_batches
from smallvision.training.balance import weigher
from smallvision.training.checkpoints import Checkpoints, State
from smallvision.training.muon import KernelMuon

CROSS_ENTROPY = "cross_entropy"

HISTORY_KEYS = ("acc", "loss", "val_acc", "val_loss")


Subset = tuple[Inputs, np.ndarray]  # pictures or features, and labels
History = Sequence[dict[str, float]]  # a row an epoch, with HISTORY_KEYS


@dataclass(frozen=True)
class Fit:
    """A fitted network: the weights of its best epoch, in float32.

    `earlier` is the time that runs which were ended had spent on the epochs that were kept, in seconds.
    """

    model: keras.Model
    history: History
    earlier: float = 0.0

    @property
    def best_epoch(self) -> int:
        """From 1."""
        return find_best(self.history)


def find_best(history: History) -> int:
    """Return the epoch (from 1) with the best validation accuracy, the first of equals."""
    # Of epochs that are right equally often, the one that is less sure of its mistakes.
    return max(range(len(history)), key=lambda index: (history[index]["val_acc"], -history[index]["val_loss"])) + 1


def is_over(history: History, patience: int | None) -> bool:
    """Say whether the last `patience` epochs all failed to be better than the best before them."""
    return patience is not None and bool(history) and len(history) - find_best(history) >= patience


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Remember the best epoch, stop at a loss that is no number, and report where no bar is shown."""

    def __init__(
        self,
        lr: float,
        patience: int | None,
        checkpoints: Checkpoints | None,
        report: Callable[[History], None] | None,
        *,
        show_lines: bool,
    ) -> None:
        super().__init__()
        self.weights: Sequence[np.ndarray] = []
        self.history: list[dict[str, float]] = []
        self.earlier = 0.0
        self._begin = time.monotonic()
        self._lr = lr
        self._patience = patience
        self._checkpoints = checkpoints
        self._report = report
        self._show_lines = show_lines

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch, self._start = epoch + 1, time.monotonic()

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        check_stopped()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        check_stopped()
        if not math.isfinite(logs["loss"]):
            raise DivergedError(f"the loss became {logs['loss']} in epoch {self._epoch} at lr {self._lr:g}; lower `lr`")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        row = {key: float(logs[key.replace("loss", CROSS_ENTROPY)]) for key in HISTORY_KEYS}
        if not math.isfinite(row["val_loss"]):
            raise DivergedError(
                f"the validation loss became {row['val_loss']} in epoch {self._epoch} at lr {self._lr:g}; lower `lr`"
            )
        self.history.append(row)
        better = find_best(self.history) == self._epoch
        if better:
            self.weights = self.model.get_weights()
        if self._checkpoints:
            variables = [variable.numpy() for variable in _variables(self.model)]
            seconds = self.earlier + time.monotonic() - self._begin
            self._checkpoints.save(State(variables, self.weights, self.history, seconds))
        if self._report:
            self._report(self.history)
        if self._show_lines:
            values = "  ".join(f"{key} {value:.4f}" for key, value in row.items())
            seconds = time.monotonic() - self._start
            print(
                f"epoch {self._epoch}/{self.params['epochs']}  {seconds:.1f} s  {values}{'  best' if better else ''}",
                flush=True,
            )
        if is_over(self.history, self._patience):
            self.model.stop_training = True


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Everything the next epoch starts from; the states of dropout are among the model's."""
    return [*model.variables, *model.optimizer.variables]


def _go_on(model: keras.Model, watch: _Watch, state: State) -> None:
    """Put a network and its optimizer into the state of an earlier run."""
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(_variables(model), state.variables, strict=True):
        variable.assign(value)
    watch.weights, watch.history = state.best, list(state.history)
    watch.earlier = state.seconds


def _cosine(lr: float, steps: int, warmup: float) -> keras.optimizers.schedules.LearningRateSchedule:
    rising = min(round(warmup * steps), steps - 1)
    if not rising:
        return keras.optimizers.schedules.CosineDecay(lr, steps)
    return keras.optimizers.schedules.CosineDecay(0.0, steps - rising, warmup_target=lr, warmup_steps=rising)


def make_optimizer(
    name: str, lr: float | keras.optimizers.schedules.LearningRateSchedule, weight_decay: float
) -> keras.Optimizer:
    """Return `rmsprop`, `adamw` or `muon`; the decay is that of the last two."""
    if name == "muon":
        return KernelMuon(lr, weight_decay)
    if name == "adamw":
        return keras.optimizers.AdamW(lr, weight_decay=weight_decay)
    return keras.optimizers.RMSprop(lr)


def label_columns(labels: np.ndarray, units: int) -> np.ndarray:
    """Return integer labels `(n,)` as `(n, units)`, so that they can be mixed: one column for two classes."""
    columns: np.ndarray = (np.array([[0], [1]]) if units == 1 else np.eye(units))[labels]
    return columns


def compile_network(
    model: keras.Model, optimizer: keras.Optimizer, label_smoothing: float, steps_per_execution: int = 1
) -> None:
    """Compile for labels as from `label_columns`; the cross-entropy with them is a metric beside the smoothed loss."""
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


def fit(
    build: Callable[[], keras.Model],
    train: Subset,
    validation: Subset,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    precision: str,
    optimizer: str = "rmsprop",
    weight_decay: float = 0.0,
    schedule: str = "constant",
    warmup: float = 0.0,
    label_smoothing: float = 0.0,
    augment: Augment | None = None,
    patience: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    checkpoints: Checkpoints | None = None,
    report: Callable[[History], None] | None = None,
) -> Fit:
    """Train a network and keep the epoch with the best validation accuracy.

    With `checkpoints`, a training that was ended goes on after its last epoch, to the same result bit for bit.

    Args:
        build: makes the network under the dtype policy of the moment.
        train: pictures or features, and integer labels `(n,)`.
        validation: the same.
        epochs: passes over the training pictures.
        batch_size: pictures per step.
        lr: step size.
        optimizer: `rmsprop`, `adamw` or `muon`.
        weight_decay: of the last two.
        schedule: `constant`, or `cosine` for a step size that falls from `lr` to 0.
        warmup: share of the steps in which the step size first rises from 0 to `lr`; of `cosine`.
        label_smoothing: share of each training label that is spread over all classes. History and
            best epoch go by the cross-entropy with the labels as they are.
        seed: of the weights and the order of the pictures.
        augment: random changes of the training pictures; validation pictures are never changed.
        patience: epochs in a row that are no better than the best, after which the training ends early.
        class_weight: what a picture of each class counts, in the loss and in accuracy and cross-entropy, of
            training and validation alike. Weights that balance the classes make `val_acc` the balanced accuracy.
        precision: `float32`, or `bfloat16` for bfloat16 arithmetic on float32 weights.
        checkpoints: where the state after each epoch is kept, and looked for first.
        report: is called with the history so far after each epoch.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    model = build()
    steps = math.ceil(len(train[0]) / batch_size)
    train, validation = (
        (pictures, label_columns(labels, model.output_shape[-1])) for pictures, labels in (train, validation)
    )
    rate = lr if schedule == "constant" else _cosine(lr, epochs * steps, warmup)
    # On features a step is so short that Python would take most of the time.
    at_once = 1 if len(train[0].shape) == 4 else steps
    compile_network(model, make_optimizer(optimizer, rate, weight_decay), label_smoothing, at_once)
    on_terminal = sys.stdout.isatty()
    watch = _Watch(lr, patience, checkpoints, report, show_lines=not on_terminal)
    state = None
    if checkpoints:
        state = checkpoints.load()
        if not state:
            checkpoints.require_space(model.get_weights())
    if state:
        _go_on(model, watch, state)
        print(f"going on after epoch {len(state.history)} of {epochs}, where an earlier run ended", flush=True)
    done = len(watch.history)
    batches = [
        training_batches(*train, batch_size, seed, augment, first_epoch=done, epochs=epochs),
        evaluation_batches(*validation),
    ]
    if class_weight:
        batches = [each.map(weigher(class_weight)) for each in batches]
    model.fit(
        batches[0],
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=done if is_over(watch.history, patience) else epochs,
        validation_data=batches[1],
        shuffle=False,  # training_batches does, for each epoch anew
        verbose=1 if on_terminal else 0,
        callbacks=[watch],
    )
    # Rebuilt, so that the saved model computes in float32 on whatever machine it is used.
    keras.config.set_dtype_policy("float32")
    best = build()
    best.set_weights(watch.weights)
    return Fit(best, watch.history, watch.earlier)
