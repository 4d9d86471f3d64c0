"""Sheets of test pictures for a person to look at: the worst mistakes, and where the network looked."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from smallvision.core.errors import shorten
from smallvision.data.pictures.sheet import Sheet
from smallvision.evaluation.answers import Answers

MISTAKES = 20  # pictures on the sheet of mistakes, at most
EXPLAINED = 8  # right answers whose heat is shown, at most, and as many wrong ones
LETTERS = 28  # characters in a line of a caption; a longer line would run into the next picture


def choose_right(answers: Answers, count: int) -> np.ndarray:
    """Return the indices of at most `count` right answers, taking the first ones of each class in turn."""
    right = np.flatnonzero(answers.is_right)
    turns = [
        (turn, index)
        for label in range(len(answers.classes))
        for turn, index in enumerate(right[answers.labels[right] == label][:count])
    ]
    return np.array(sorted(index for _, index in sorted(turns)[:count]), int)


def write_caption(answers: Answers, index: int, name: str) -> str:
    """Return three lines: what the picture shows, what it was taken for and how surely, and its file name."""
    label, predicted = answers.labels[index], answers.predicted[index]
    said = f"{shorten(answers.classes[predicted], LETTERS - 11)} {answers.probabilities[index, predicted]:.1%}"
    return f"is {shorten(answers.classes[label], LETTERS - 3)}\nsaid {said}\n{shorten(name, LETTERS)}"


def draw_mistakes(path: Path, answers: Answers, names: Sequence[str], pictures: np.ndarray) -> None:
    """Draw pictures that were answered wrongly, in the order given.

    Args:
        path: the PNG file to write.
        answers: the answers about these pictures.
        names: their file names.
        pictures: uint8 `(n, size, size, 3)`, RGB.
    """
    columns = 5
    rows = -(-len(pictures) // columns)
    sheet = Sheet(rows, columns, width=2.0, height=2.0, lines=3)
    sheet.begin(f"The {len(pictures)} worst mistakes, the worst first" if len(pictures) else "No mistakes", rows)
    for place, picture in enumerate(pictures):
        sheet.put(place, picture, write_caption(answers, place, names[place]))
    sheet.save(path)


def draw_heat(path: Path, answers: Answers, names: Sequence[str], pictures: np.ndarray, heat: np.ndarray) -> None:
    """Draw each picture beside a grey copy with its heat laid over it, the right answers above the wrong ones.

    Args:
        path: the PNG file to write.
        answers: the answers about these pictures.
        names: their file names.
        pictures: uint8 `(n, size, size, 3)`, RGB.
        heat: float `(n, size, size)` in [0, 1], how much each place speaks for the predicted class.
    """
    columns = 4
    groups = [("right", np.flatnonzero(answers.is_right)), ("wrong", np.flatnonzero(~answers.is_right))]
    rows = [-(-len(indices) // columns) for _, indices in groups]
    sheet = Sheet(sum(rows), columns, width=2.5, height=1.25, lines=3, headings=2)
    for (kind, indices), count in zip(groups, rows, strict=True):
        heading = f"Answers that are {kind}; bright is what spoke for the answer"
        sheet.begin(heading if len(indices) else f"No answer is {kind}", count)
        for place, index in enumerate(indices.tolist()):
            pair = np.hstack([pictures[index], lay_over(pictures[index], heat[index])])
            sheet.put(place, pair, write_caption(answers, index, names[index]))
    sheet.save(path)


def lay_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the picture in grey with its heat on it, from dark to bright, so that it can be read without colours too.

    Args:
        picture: uint8 `(size, size, 3)`, RGB.
        heat: float `(size, size)` in [0, 1].

    Returns:
        uint8 `(size, size, 3)`, RGB.
    """
    import matplotlib as mpl

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    colours = mpl.colormaps["inferno"](heat)[..., :3] * 255
    lit: np.ndarray = np.round(0.4 * grey + 0.6 * colours).astype(np.uint8)
    return lit
