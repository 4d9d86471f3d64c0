"""Write how a training goes: metrics and history after each epoch, and logs for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from smallvision.core.files import write_csv, write_json
from smallvision.training.history import History, find_best
from smallvision.training.hooks import Report


def write_results(
    metrics: Path,
    csv: Path,
    facts: Mapping[str, str | int],
    history: History,
    final: Mapping[str, float] | None = None,
) -> None:
    """Write a row for each epoch so far, and the numbers of the best epoch.

    This is called after every epoch, so that `dvc exp show` and the plots are up to date while the network trains.
    `train_acc`, `val_acc` and their losses are measured during the training, weighted as `class_weights` says.
    `final_val_acc` and `final_val_loss` describe the network as it is saved, with `mirror_test` and with the
    `temperature` that was fitted to these same validation pictures; every picture counts alike.

    Args:
        metrics: the JSON file to write.
        csv: the file of the history to write.
        facts: what the numbers belong to. They name the model only once there is one, so that `evaluate` refuses the
            numbers of an unfinished training.
        history: the epochs so far, at least one.
        final: numbers that are known only when the training is over.
    """
    write_csv(csv, ["epoch", *history[0]], [(epoch, *row.values()) for epoch, row in enumerate(history, 1)])
    best_epoch = find_best(history)
    best = history[best_epoch - 1]
    numbers = {
        "train_acc": best["acc"],
        "train_loss": best["loss"],
        "val_acc": best["val_acc"],
        "val_loss": best["val_loss"],
        **(final or {}),
    }
    rounded = {key: round(value, 4) for key, value in numbers.items()}
    write_json(metrics, {**facts, "epochs": len(history), "best_epoch": best_epoch, **rounded})


def log_to_tensorboard(folder: Path) -> Report:
    """Return a function that writes the last epoch of a history to `folder`.

    A training that goes on after it was ended goes on in the same folder.
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder))

    def log(history: History) -> None:
        with writer.as_default(step=len(history)):
            for name, value in history[-1].items():
                tf.summary.scalar(name, value)
        writer.flush()

    return log
