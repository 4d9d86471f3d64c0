"""Logs for TensorBoard."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from smallvision.fitting import History


def also_log(report: Callable[[History], None], folder: Path) -> Callable[[History], None]:
    """Return a function that calls `report` and writes the last epoch of its history to `folder`.

    A training that goes on after it was ended goes on in the same folder.
    """
    writer = tf.summary.create_file_writer(str(folder))

    def report_and_log(history: History) -> None:
        report(history)
        with writer.as_default(step=len(history)):
            for name, value in history[-1].items():
                tf.summary.scalar(name, value)
        writer.flush()

    return report_and_log
