"""What a network said about pictures whose labels are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)  # an array has no truth value, so comparing two would raise an error
class Answers:
    """What a network said about `n` pictures whose labels are known.

    Attributes:
        labels: integer array `(n,)`, indices into `classes`.
        probabilities: float array `(n, len(classes))`, rows that sum to 1.
        classes: the class names, at least two.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    classes: Sequence[str]

    @property
    def predicted(self) -> np.ndarray:
        """The index of the most probable class of each picture, integers `(n,)`."""
        indices: np.ndarray = self.probabilities.argmax(axis=1)
        return indices

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable class of each picture, float `(n,)`."""
        largest: np.ndarray = self.probabilities.max(axis=1)
        return largest

    @property
    def is_right(self) -> np.ndarray:
        """Whether the most probable class is the label, bool `(n,)`."""
        right: np.ndarray = self.predicted == self.labels
        return right

    def select(self, indices: np.ndarray) -> "Answers":
        """Return the answers about the pictures at `indices`, an integer array `(k,)`."""
        return Answers(self.labels[indices], self.probabilities[indices], self.classes)
