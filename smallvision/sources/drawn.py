"""Cartoon cats and dogs, drawn here: pictures to learn from without an account or a download.

Everything that does not tell a cat from a dog (fur, pose, size, light, clutter) is drawn at random
for both alike. What tells them apart are details as in life: ears, eyes, nose, muzzle, whiskers, tail.
"""

import io
import os
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from smallvision.sources.local import EPOCH

SPECIES = ("cat", "dog")
COUNT = 2000  # of each
SEED = 42  # the pictures are a fixed data set; the parameter `seed` is the training's

Colour = tuple[int, int, int]
Point = tuple[float, float]
FURS: Sequence[Colour] = (
    (212, 140, 66), (240, 232, 216), (70, 62, 58), (150, 145, 140), (156, 104, 62), (226, 190, 130), (110, 78, 56),
)  # fmt: skip
BLACK, PINK, WHITE = (24, 20, 20), (232, 148, 150), (250, 250, 246)


def draw_archive(target: Path, count: int = COUNT, seed: int = SEED) -> None:
    """Write `count` cats and `count` dogs in Kaggle's layout, `train/cat.0.jpg` and so on.

    The same count and seed give the same pictures, whatever the number of cores.
    """
    tasks = [(species, number, seed) for species in SPECIES for number in range(count)]
    with (
        zipfile.ZipFile(target, "w") as archive,
        ProcessPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(tasks), unit="picture", desc="draw", disable=not sys.stderr.isatty()) as bar,
    ):
        for (species, number, _), data in zip(tasks, pool.map(_draw_jpeg, tasks, chunksize=50), strict=True):
            archive.writestr(zipfile.ZipInfo(f"train/{species}.{number}.jpg", date_time=EPOCH), data)
            bar.update()


def _draw_jpeg(task: tuple[str, int, int]) -> bytes:
    species, number, seed = task
    rng = np.random.default_rng([seed, SPECIES.index(species), number])
    data = io.BytesIO()
    draw_picture(species, rng).save(data, "JPEG", quality=int(rng.integers(60, 95)))
    return data.getvalue()


def draw_picture(species: str, rng: np.random.Generator) -> Image.Image:
    """Draw one picture of 300 to 500 pixels a side, mode RGB."""
    width, height = (int(side) for side in rng.integers(300, 501, 2))
    image = Image.new("RGB", (width, height), _any_colour(rng))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.integers(8, 22)):
        _draw_clutter(canvas, rng, width, height, 0.25)
    _draw_animal(_Pen(canvas, rng, width, height), species, rng)
    for _ in range(rng.integers(0, 7)):
        _draw_clutter(canvas, rng, width, height, 0.1)
    return _photograph(image, rng)


class _Pen:
    """Draws in units of the head's radius, origin between the eyes, turned and mirrored at random."""

    def __init__(self, canvas: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int) -> None:
        self._canvas = canvas
        self.scale = rng.uniform(0.13, 0.34) * min(width, height)
        turn = np.radians(rng.normal(0, 22))
        mirror = rng.choice([-1, 1])
        squeeze = rng.uniform(0.85, 1.15)
        cos, sin = np.cos(turn), np.sin(turn)
        self._matrix = self.scale * np.array([[cos * squeeze * mirror, -sin], [sin * squeeze * mirror, cos]])
        self._centre = np.array([width * rng.uniform(0.25, 0.75), height * rng.uniform(0.22, 0.65)])

    def polygon(self, points: Sequence[Point] | np.ndarray, colour: Colour) -> None:
        self._canvas.polygon(self._place(points), fill=colour, outline=_shade(colour, 0.7))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        a, b = rx * np.cos(angle), ry * np.sin(angle)
        self.polygon(
            np.stack([x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)], 1), colour
        )

    def line(self, points: Sequence[Point] | np.ndarray, colour: Colour, width: float) -> None:
        self._canvas.line(self._place(points), fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def _place(self, points: Sequence[Point] | np.ndarray) -> list[Point]:
        return [(float(x), float(y)) for x, y in np.asarray(points) @ self._matrix.T + self._centre]


def _draw_animal(pen: _Pen, species: str, rng: np.random.Generator) -> None:
    fur = _vary(FURS[int(rng.integers(len(FURS)))], rng, 22)
    marks = _vary(FURS[int(rng.integers(len(FURS)))], rng, 22)
    look = rng.uniform(-0.22, 0.22)  # the face turned aside
    _draw_body(pen, species, rng, fur, marks)
    standing = species == "dog" and rng.random() < 0.3
    if species == "cat":
        _draw_cat_ears(pen, rng, fur)
    elif standing:
        _draw_dog_ears(pen, rng, fur, standing=True)
    pen.ellipse(0, 0.1, rng.uniform(0.9, 1.1), rng.uniform(0.85, 1.05), fur)
    if rng.random() < 0.4:
        x, y, radius_x, radius_y = rng.uniform((-0.5, -0.4, 0.25, 0.25), (0.5, 0.1, 0.45, 0.5))
        pen.ellipse(x, y, radius_x, radius_y, marks)
    (_draw_cat_face if species == "cat" else _draw_dog_face)(pen, rng, look, fur)
    if species == "dog" and not standing:
        _draw_dog_ears(pen, rng, marks if rng.random() < 0.5 else fur, standing=False)


def _draw_body(pen: _Pen, species: str, rng: np.random.Generator, fur: Colour, marks: Colour) -> None:
    side, length = rng.uniform(-0.5, 0.5), rng.uniform(1.1, 1.6)
    reach = np.linspace(0, 1, 12)
    if species == "cat":  # a long thin tail, curled; a dog's is short and thick
        tail = np.stack([side + 0.8 + 1.5 * reach, 2.4 - 2.2 * reach**2 + 0.3 * np.sin(7 * reach)], 1)
        pen.line(tail, _shade(fur, 0.85), 0.16)
    else:
        tail = np.stack([side + 0.8 + 0.9 * reach, 2.0 - rng.uniform(0.3, 1.1) * reach], 1)
        pen.line(tail, _shade(fur, 0.85), 0.28)
    pen.ellipse(side, 1.0 + length, rng.uniform(0.8, 1.1), length, _shade(fur, 0.92))
    for _ in range(rng.integers(0, 5)):
        pen.ellipse(
            side + rng.uniform(-0.5, 0.5), 1 + rng.uniform(0.5, 1.5) * length, 0.3, 0.15, marks, rng.uniform(-1, 1)
        )
    for leg in (-0.55, 0.55):
        pen.ellipse(side + leg, 1.2 + 1.6 * length, 0.26, 0.7, fur)


def _draw_cat_ears(pen: _Pen, rng: np.random.Generator, fur: Colour) -> None:
    tip, lean = rng.uniform(1.15, 1.6), rng.uniform(0.5, 0.95)
    for side in (-1, 1):
        pen.polygon([(side * 0.2, -0.6), (side * lean, -tip), (side * 0.95, -0.1)], fur)
        pen.polygon([(side * 0.4, -0.65), (side * lean, -tip + 0.25), (side * 0.8, -0.35)], _vary(PINK, rng, 20))


def _draw_dog_ears(pen: _Pen, rng: np.random.Generator, colour: Colour, *, standing: bool) -> None:
    length, drop = rng.uniform(0.5, 0.75), rng.uniform(0.1, 0.5)
    for side in (-1, 1):
        if standing:  # as a cat's, but rounded
            pen.ellipse(side * 0.62, -0.85, 0.3, length, _shade(colour, 0.8), side * 0.35)
        else:  # over the cheeks
            pen.ellipse(side * 0.98, drop, 0.3, length, _shade(colour, 0.8), side * -0.2)


def _draw_cat_face(pen: _Pen, rng: np.random.Generator, look: float, fur: Colour) -> None:
    iris = _vary((150, 180, 60) if rng.random() < 0.6 else (220, 180, 60), rng, 30)
    pupil = rng.uniform(0.04, 0.12)
    for side in (-1, 1):
        pen.ellipse(look + side * 0.4, -0.05, 0.2, 0.15, iris, side * -0.25)
        pen.ellipse(look + side * 0.4, -0.05, pupil, 0.14, BLACK)
    pen.polygon([(look - 0.1, 0.32), (look + 0.1, 0.32), (look, 0.45)], _vary(PINK, rng, 25))
    pen.line([(look - 0.25, 0.62), (look, 0.46), (look + 0.25, 0.62)], BLACK, 0.04)
    if rng.random() < 0.85:
        pale = WHITE if sum(fur) < 420 else BLACK
        for side in (-1, 1):
            for slope in (-0.18, 0.0, 0.18):
                end = (look + side * rng.uniform(1.1, 1.5), 0.45 + slope * 2 + rng.uniform(-0.05, 0.05))
                pen.line([(look + side * 0.3, 0.45 + slope * 0.4), end], pale, 0.025)


def _draw_dog_face(pen: _Pen, rng: np.random.Generator, look: float, fur: Colour) -> None:
    iris = _vary((70, 45, 30) if rng.random() < 0.75 else (150, 180, 60), rng, 20)
    for side in (-1, 1):
        pen.ellipse(look + side * 0.38, -0.1, 0.15, 0.17, iris)
        pen.ellipse(look + side * 0.38, -0.1, 0.09, 0.1, BLACK)
    muzzle = look * 1.4
    if rng.random() < 0.5:
        pen.ellipse(muzzle, 0.95, 0.15, rng.uniform(0.2, 0.4), _vary((220, 90, 100), rng, 20))
    pen.ellipse(muzzle, 0.55, rng.uniform(0.36, 0.5), rng.uniform(0.35, 0.5), _shade(fur, 1.2))
    pen.ellipse(muzzle, 0.36, rng.uniform(0.13, 0.2), 0.12, _vary(BLACK, rng, 12))
    pen.line([(muzzle - 0.25, 0.75), (muzzle, 0.65), (muzzle + 0.25, 0.75)], BLACK, 0.04)


def _draw_clutter(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, size: float) -> None:
    """Draw a shape that resembles a part of an animal: ear, eye, head, whisker, tail."""
    reach = min(width, height) * size
    x, y = rng.uniform((0, 0), (width, height))
    colour = _vary(FURS[int(rng.integers(len(FURS)))], rng, 40) if rng.random() < 0.5 else _any_colour(rng)
    radius_x, radius_y = rng.uniform(0.15, 1.0, 2) * reach
    box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
    kind = rng.integers(4)
    if kind == 0:
        canvas.ellipse(box, fill=colour)
    elif kind == 1:
        canvas.polygon([(x + dx, y + dy) for dx, dy in rng.uniform(-reach, reach, (3, 2))], fill=colour)
    elif kind == 2:
        canvas.rectangle(box, fill=colour)
    else:
        points = [(x + dx, y + dy) for dx, dy in rng.uniform(-2 * reach, 2 * reach, (3, 2))]
        canvas.line(points, fill=colour, width=int(rng.integers(1, 9)))


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add what a camera adds: blur, uneven light, a colour cast, noise."""
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.3, 2.0)))
    light = np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), image.width)[:, None]
    gain = rng.uniform(0.6, 1.2) * light * rng.uniform(0.85, 1.15, 3)
    pixels = np.multiply(np.asarray(image), gain, dtype=np.float32)
    strength = int(rng.integers(4, 30))
    pixels += rng.integers(-strength, strength + 1, pixels.shape, np.int8)
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


def _any_colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(20, 236, 3))
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def _vary(colour: Colour, rng: np.random.Generator, spread: int) -> Colour:
    red, green, blue = (int(np.clip(value + rng.integers(-spread, spread + 1), 0, 255)) for value in colour)
    return red, green, blue
