"""Logs for TensorBoard."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from smallvision.training.fitting import History


def log_to(folder: Path) -> Callable[[History], None]:
    """Return a function that writes the last epoch of a history to `folder`.

    A training that goes on after it was ended goes on in the same folder.
    """
    writer = tf.summary.create_file_writer(str(folder))

    def log(history: History) -> None:
        with writer.as_default(step=len(history)):
            for name, value in history[-1].items():
                tf.summary.scalar(name, value)
        writer.flush()

    return log
