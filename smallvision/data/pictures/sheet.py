"""Sheets of captioned pictures as PNG, and the one that shows what augmentation does."""

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smallvision.core.files import replacing

# The first comes with matplotlib and has Latin, Greek and Cyrillic letters; the others are used where they are.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "Arial Unicode MS")


class Sheet:
    """A grid of captioned pictures below headings, in inches."""

    GAP, HEADING, LINE = 0.15, 0.4, 0.17

    def __init__(self, rows: int, columns: int, width: float, height: float, lines: int, headings: int = 1) -> None:
        """Make room for `headings` groups with `rows` in all, of pictures with captions of `lines`."""
        # That it builds its list of fonts, or keeps it in a temporary folder, is of no interest here.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from matplotlib.figure import Figure

        self._columns, self._width, self._height = columns, width, height
        self._row = height + lines * self.LINE + self.GAP
        self._size = (
            columns * (width + self.GAP) + self.GAP,
            rows * self._row + headings * self.HEADING,
        )
        self._figure = Figure(self._size, dpi=100)
        self._top = self._bottom = 0.0
        self._fonts = _fonts()

    def begin(self, heading: str, rows: int) -> None:
        """Begin a group of `rows` rows below what is there."""
        self._write(self.GAP, self._bottom + 0.1, heading, 11)
        self._top = self._bottom + self.HEADING
        self._bottom = self._top + rows * self._row

    def put(self, place: int, picture: np.ndarray, caption: str) -> None:
        """Show a picture at a place of the group, row by row."""
        down, across = divmod(place, self._columns)
        left = self.GAP + across * (self._width + self.GAP)
        top = self._top + down * self._row
        width, height = self._size
        axes = self._figure.add_axes(
            (left / width, 1 - (top + self._height) / height, self._width / width, self._height / height)
        )
        axes.imshow(picture, interpolation="lanczos")
        axes.set_axis_off()
        self._write(left, top + self._height + 0.03, caption, 8, self._width)

    def _write(self, left: float, top: float, text: str, size: float, room: float = math.inf) -> None:
        from matplotlib.transforms import Bbox, TransformedBbox

        width, height = self._size
        # A dollar sign in a name is no formula.
        options: dict[str, Any] = {"fontsize": size, "family": self._fonts, "va": "top", "parse_math": False}
        written = self._figure.text(left / width, 1 - top / height, text, **options)
        within = Bbox.from_extents(0, 0, min((left + room) / width, 1), 1)
        written.set_clip_box(TransformedBbox(within, self._figure.transFigure))

    def save(self, path: Path) -> None:
        """Write the PNG."""
        with replacing(path) as part, warnings.catch_warnings():
            # A letter that no font here has is drawn as a box.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            # Without matplotlib's version, which would make equal sheets differ.
            self._figure.savefig(part, format="png", metadata={"Software": None})


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [font for font in FONTS if font in installed]


def draw_augmentation(path: Path, views: np.ndarray, captions: Sequence[str]) -> None:
    """Draw training pictures and, beside each, what the first epochs make of it.

    Args:
        path: the PNG file to write.
        views: float `(columns, n, size, size, 3)` in [0, 1]; the first column as they are.
        captions: `n`, of the pictures.
    """
    epochs = [f"epoch {epoch}" for epoch in range(1, len(views))]
    if epochs:
        heading = f"Training pictures, and what the first {len(epochs)} epochs make of them"
        rows = [[(caption, *epochs), row] for caption, row in zip(captions, views.swapaxes(0, 1), strict=True)]
    else:  # side by side, so that the heading has room
        heading = "Training pictures; the recipe changes nothing about them"
        rows = [[captions, views[0]]]
    cells = [cell for labels, row in rows for cell in zip(labels, row, strict=True)]
    sheet = Sheet(len(rows), len(cells) // len(rows), width=1.5, height=1.5, lines=1)
    sheet.begin(heading, len(rows))
    for place, (label, picture) in enumerate(cells):
        sheet.put(place, picture, label)
    sheet.save(path)
