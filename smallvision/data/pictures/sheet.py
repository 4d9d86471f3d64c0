"""Sheets of pictures with captions, written as PNG."""

import logging
import math
import warnings
from pathlib import Path

import numpy as np

from smallvision.core.files import replacing

# The first comes with matplotlib and has Latin, Greek and Cyrillic letters. The others are used if they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "Arial Unicode MS")


class Sheet:
    """A grid of pictures with captions, in groups with a heading each. All lengths are in inches."""

    GAP, HEADING, LINE = 0.15, 0.4, 0.17

    def __init__(self, rows: int, columns: int, width: float, height: float, lines: int, headings: int = 1) -> None:
        """Make room for the pictures.

        Args:
            rows: how many rows of pictures there are in all groups together.
            columns: how many pictures a row holds.
            width: the width of a picture.
            height: the height of a picture.
            lines: how many lines of text a caption has.
            headings: how many groups there are.
        """
        # Nobody needs to read that matplotlib builds its list of fonts, or keeps it in a temporary folder.
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
        """Begin a group of `rows` rows below the groups so far."""
        self._write(self.GAP, self._bottom + 0.1, heading, 11)
        self._top = self._bottom + self.HEADING
        self._bottom = self._top + rows * self._row

    def put(self, place: int, picture: np.ndarray, caption: str) -> None:
        """Show a picture in the group that was begun last.

        Args:
            place: where in the group, from 0, row by row.
            picture: RGB `(height, width, 3)`, uint8 or float in [0, 1].
            caption: the text below it.
        """
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
        written = self._figure.text(
            left / width, 1 - top / height, text, fontsize=size, family=self._fonts, verticalalignment="top"
        )
        written.set_parse_math(False)  # otherwise a dollar sign in a name would begin a formula
        within = Bbox.from_extents(0, 0, min((left + room) / width, 1), 1)
        written.set_clip_box(TransformedBbox(within, self._figure.transFigure))

    def save(self, path: Path) -> None:
        """Write the sheet as PNG."""
        with replacing(path) as part, warnings.catch_warnings():
            # A letter that no installed font has is drawn as a box.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            # Matplotlib would write its version into the file, and equal sheets would differ.
            self._figure.savefig(part, format="png", metadata={"Software": None})


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [font for font in FONTS if font in installed]
