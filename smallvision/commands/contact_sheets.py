"""A sheet of pictures of each class, for a person to look at."""

import logging
import os
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smallvision.core.errors import InputError, shorten
from smallvision.core.files import locked, replacing
from smallvision.core.process import check_stopped
from smallvision.data.pictures.decoding import to_checked_input
from smallvision.data.pictures.sheet import FONTS
from smallvision.data.sources.files import SourceFiles

SHOWN = 24  # pictures on a sheet, at most
# Pictures on all sheets together, and their bytes. With many classes or large pictures each sheet has fewer, so that
# drawing takes seconds: two cores read 100 MB of photographs in about one.
TOTAL, TOTAL_BYTES = 1000, 400 * 10**6
COLUMNS = 6
SIDE = 150  # pixels of a picture
GAP, HEADING, LINE = 15, 40, 18  # pixels around a picture, above all of them, and of a line of text
LETTERS = 24  # of a caption
SPECIAL = re.compile(r"[^\w.-]+")  # letters that a shell or a file system may take amiss
GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)  # stands for a picture that cannot be read


def choose_pictures(classes: Mapping[str, Sequence[str]], total: int = TOTAL) -> dict[str, list[str]]:
    """Choose pictures of each class by chance, but always the same ones, and keep their order.

    Args:
        classes: the paths of the pictures of each class.
        total: how many to choose at most, if that is at least one of each class.
    """
    count = max(1, min(SHOWN, total // max(len(classes), 1)))
    chosen = {}
    for label, paths in classes.items():
        places = random.Random(0).sample(range(len(paths)), min(count, len(paths)))  # noqa: S311
        chosen[label] = [paths[place] for place in sorted(places)]
    return chosen


def draw_sheets(folder: Path, files: SourceFiles, classes: Mapping[str, Sequence[str]]) -> tuple[int, dict[str, str]]:
    """Draw a sheet of each class. All of them together take the place of the earlier sheets in the folder.

    Pictures are shown as a network gets them, stretched to a square.

    Args:
        folder: where to write the sheets; other files in it stay.
        files: the open source.
        classes: the paths of the pictures of each class.

    Returns:
        How many pictures were chosen, and for each of those that cannot be read what is wrong with it, by its path.
    """
    sizes = [files.size(path) for paths in classes.values() for path in paths]
    chosen = choose_pictures(classes, min(TOTAL, TOTAL_BYTES * len(sizes) // max(sum(sizes), 1)))
    digits = len(str(len(chosen)))
    bad: dict[str, str] = {}

    def load(path: str) -> np.ndarray:
        try:
            return to_checked_input(files.read(path), SIDE)
        except InputError as error:
            bad[path] = str(error)
            return GREY

    cv2.setNumThreads(1)  # the threads below work on one picture each
    part = folder.with_name(f"part-{folder.name}")
    with locked(folder), ThreadPoolExecutor(os.cpu_count()) as threads:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        pictures = threads.map(load, [path for paths in chosen.values() for path in paths])
        try:
            for number, (label, paths) in enumerate(chosen.items(), 1):
                check_stopped()
                heading = f"{shorten(label, 60)}: {len(paths)} of {len(classes[label])} pictures"
                name = f"class-{number:0{digits}}-{SPECIAL.sub('_', label)[:40]}.png"
                _draw(part / name, heading, paths, [next(pictures) for _ in paths])
            _replace_sheets(folder, part)
        finally:
            threads.shutdown(cancel_futures=True)
            shutil.rmtree(part, ignore_errors=True)
    return sum(map(len, chosen.values())), bad


def _draw(path: Path, heading: str, names: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
    """Write one sheet. `Sheet`, which draws with matplotlib, takes ten times as long, and there may be many classes."""
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (GAP + COLUMNS * (SIDE + GAP), HEADING + rows * (SIDE + LINE + GAP)), "white")
    sheet.paste(_write(heading, sheet.width - GAP), (GAP, GAP))
    for place, (name, picture) in enumerate(zip(names, pictures, strict=True)):
        down, across = divmod(place, COLUMNS)
        left, top = GAP + across * (SIDE + GAP), HEADING + down * (SIDE + LINE + GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        sheet.paste(_write(shorten(name, LETTERS), SIDE), (left, top + SIDE))
    with replacing(path) as part:
        sheet.save(part, "PNG")


def _write(text: str, width: int) -> Image.Image:
    """Return a line of text, cut to a width in pixels."""
    line = Image.new("RGB", (width, LINE), "white")
    font = next((font for letters, font in _fonts() if letters.issuperset(map(ord, text))), _fonts()[0][1])
    ImageDraw.Draw(line).text((0, 2), text, fill="black", font=font)
    return line


@cache
def _fonts() -> list[tuple[frozenset[int], ImageFont.FreeTypeFont]]:
    """Return the installed ones among `FONTS`, each with the letters that it has."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # nobody needs to read that it builds its list of fonts
    from matplotlib.font_manager import findfont, fontManager
    from matplotlib.ft2font import FT2Font

    installed = set(fontManager.get_font_names())
    paths = [findfont(name) for name in FONTS if name in installed]
    return [(frozenset(FT2Font(path).get_charmap()), ImageFont.truetype(path, 11)) for path in paths]


def _replace_sheets(folder: Path, part: Path) -> None:
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("class-*.png"):
        earlier.unlink()
    for sheet in part.iterdir():
        os.replace(sheet, folder / sheet.name)
