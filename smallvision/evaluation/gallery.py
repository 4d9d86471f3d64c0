"""Sheets of test pictures for a person to look at: the worst mistakes, and where the network looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from smallvision.core.errors import shorten
from smallvision.data.pictures.sheet import Sheet

MISTAKES = 20  # at most
EXPLAINED = 8  # right ones, and as many wrong ones
LETTERS = 28  # of a name; more would run into the next picture


def rank_mistakes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find the pictures whose label is not what they most probably show, the least probable label first.

    Args:
        labels: integer array `(n,)`.
        probabilities: float array `(n, classes)`, predicted without knowing the picture's label.

    Returns:
        Indices.

    Source: the self-confidence ranking of C. Northcutt, L. Jiang and I. Chuang, "Confident
    Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021).
    """
    order = np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")
    wrong: np.ndarray = order[probabilities.argmax(axis=1)[order] != labels[order]]
    return wrong


@dataclass(frozen=True)
class Answers:
    """What the network said about the test pictures: one entry each, `probabilities` a row of all classes."""

    names: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    classes: Sequence[str]

    @property
    def predicted(self) -> np.ndarray:
        """The index of the likeliest class of each picture."""
        indices: np.ndarray = self.probabilities.argmax(axis=1)
        return indices

    def of(self, indices: np.ndarray) -> "Answers":
        """Return the answers about some of the pictures."""
        names = [self.names[index] for index in indices]
        return Answers(names, self.labels[indices], self.probabilities[indices], self.classes)

    def worst_mistakes(self, count: int) -> np.ndarray:
        """Return the indices of at most `count` wrong pictures, the one whose class was thought least likely first."""
        return rank_mistakes(self.labels, self.probabilities)[:count]

    def some_right(self, count: int) -> np.ndarray:
        """Return the indices of at most `count` right pictures, the first ones of each class in turn."""
        right = np.flatnonzero(self.predicted == self.labels)
        turns = [
            (turn, index)
            for label in range(len(self.classes))
            for turn, index in enumerate(right[self.labels[right] == label][:count])
        ]
        return np.array(sorted(index for _, index in sorted(turns)[:count]), int)

    def caption(self, index: int) -> str:
        """Return three lines: what the picture shows, what it was taken for and how surely, its file name."""
        label, predicted = self.labels[index], self.predicted[index]
        taken = f"{shorten(self.classes[predicted], LETTERS - 11)} {self.probabilities[index, predicted]:.1%}"
        return f"is {shorten(self.classes[label], LETTERS - 3)}\nsaid {taken}\n{shorten(self.names[index], LETTERS)}"


def draw_mistakes(path: Path, answers: Answers, pictures: np.ndarray) -> None:
    """Draw wrong pictures, in the order given.

    Args:
        path: the PNG file to write.
        answers: about these pictures.
        pictures: uint8 `(n, size, size, 3)`.
    """
    columns = 5
    rows = -(-len(pictures) // columns)
    sheet = Sheet(rows, columns, width=2.0, height=2.0, lines=3)
    sheet.begin(f"The {len(pictures)} worst mistakes, the worst first" if len(pictures) else "No mistakes", rows)
    for place, picture in enumerate(pictures):
        sheet.put(place, picture, answers.caption(place))
    sheet.save(path)


def draw_heat(path: Path, answers: Answers, pictures: np.ndarray, heat: np.ndarray) -> None:
    """Draw pictures beside the same in grey with the heat laid over them, the right ones above the wrong ones.

    Args:
        path: the PNG file to write.
        answers: about these pictures.
        pictures: uint8 `(n, size, size, 3)`.
        heat: float `(n, size, size)` in [0, 1], of the predicted class.
    """
    columns = 4
    is_right = answers.predicted == answers.labels
    groups = [("right", np.flatnonzero(is_right)), ("wrong", np.flatnonzero(~is_right))]
    rows = [-(-len(indices) // columns) for _, indices in groups]
    sheet = Sheet(sum(rows), columns, width=2.5, height=1.25, lines=3, headings=2)
    for (name, indices), count in zip(groups, rows, strict=True):
        heading = f"Answers that are {name}; bright is what spoke for the answer"
        sheet.begin(heading if len(indices) else f"No answer is {name}", count)
        for place, index in enumerate(indices):
            pair = np.hstack([pictures[index], lay_over(pictures[index], heat[index])])
            sheet.put(place, pair, answers.caption(int(index)))
    sheet.save(path)


def lay_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the picture in grey, lit by the heat: dark to bright, so that it can be read without colours too.

    Args:
        picture: uint8 `(size, size, 3)`.
        heat: float `(size, size)` in [0, 1].

    Returns:
        uint8 `(size, size, 3)`.
    """
    import matplotlib as mpl

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    colours = mpl.colormaps["inferno"](heat)[..., :3] * 255
    lit: np.ndarray = np.round(0.4 * grey + 0.6 * colours).astype(np.uint8)
    return lit
