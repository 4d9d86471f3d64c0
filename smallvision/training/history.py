"""What each epoch of a training reached, and which epoch was the best."""

from collections.abc import Sequence

HISTORY_KEYS = ("acc", "loss", "val_acc", "val_loss")
History = Sequence[dict[str, float]]  # one row for each epoch, with HISTORY_KEYS


def find_best(history: History) -> int:
    """Return the number of the epoch, from 1, with the best validation accuracy. There must be at least one epoch.

    Between epochs with the same accuracy the lower validation loss decides, because that network is less sure of its
    mistakes. If the loss is the same too, the earlier epoch counts as the best.
    """
    return max(range(len(history)), key=lambda index: (history[index]["val_acc"], -history[index]["val_loss"])) + 1


def is_over(history: History, patience: int | None) -> bool:
    """Say whether the last `patience` epochs all failed to be better than the best one before them."""
    return patience is not None and bool(history) and len(history) - find_best(history) >= patience
