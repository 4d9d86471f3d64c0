"""Cartoon animals. As in life, details tell one species from another: ears, eyes, nose, muzzle, whiskers, tail."""

from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

SPECIES = ("cat", "dog", "rabbit")  # a species' position is part of its pictures' seed, so only append

Colour = tuple[int, int, int]
Point = tuple[float, float]
FURS: Sequence[Colour] = (
    (212, 140, 66), (240, 232, 216), (70, 62, 58), (150, 145, 140), (156, 104, 62), (226, 190, 130), (110, 78, 56),
)  # fmt: skip
STANDING_EARS = {"dog": 0.3, "rabbit": 0.75}  # the share whose ears stand up; a cat's always do
BLACK, PINK, WHITE = (24, 20, 20), (232, 148, 150), (250, 250, 246)


class Pen:
    """Draws in units of the head's radius, with the origin between the eyes.

    Size, position, angle and direction are drawn at random, once for each pen.
    """

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
        """Draw a filled polygon."""
        self._canvas.polygon(self._place(points), fill=colour, outline=shade(colour, 0.7))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        """Draw a filled ellipse with the centre (x, y) and the radii `rx` and `ry`, turned by `turn` radians."""
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        a, b = rx * np.cos(angle), ry * np.sin(angle)
        self.polygon(
            np.stack([x + a * np.cos(turn) - b * np.sin(turn), y + a * np.sin(turn) + b * np.cos(turn)], 1), colour
        )

    def line(self, points: Sequence[Point] | np.ndarray, colour: Colour, width: float) -> None:
        """Draw a line through `points`."""
        self._canvas.line(self._place(points), fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def _place(self, points: Sequence[Point] | np.ndarray) -> list[Point]:
        return [(float(x), float(y)) for x, y in np.asarray(points) @ self._matrix.T + self._centre]


def draw_animal(pen: Pen, species: str, rng: np.random.Generator) -> None:
    """Draw an animal of one of `SPECIES`."""
    fur = vary(FURS[int(rng.integers(len(FURS)))], rng, 22)
    marks = vary(FURS[int(rng.integers(len(FURS)))], rng, 22)
    look = rng.uniform(-0.22, 0.22)  # how far the face is turned aside
    _draw_body(pen, species, rng, fur, marks)
    standing = species == "cat" or rng.random() < STANDING_EARS[species]
    if standing:
        _draw_ears(pen, species, rng, fur, standing=True)
    pen.ellipse(0, 0.1, rng.uniform(0.9, 1.1), rng.uniform(0.85, 1.05), fur)
    if rng.random() < 0.4:
        x, y, radius_x, radius_y = rng.uniform((-0.5, -0.4, 0.25, 0.25), (0.5, 0.1, 0.45, 0.5))
        pen.ellipse(x, y, radius_x, radius_y, marks)
    {"cat": _draw_cat_face, "dog": _draw_dog_face, "rabbit": _draw_rabbit_face}[species](pen, rng, look, fur)
    if not standing:
        _draw_ears(pen, species, rng, marks if rng.random() < 0.5 else fur, standing=False)


def _draw_body(pen: Pen, species: str, rng: np.random.Generator, fur: Colour, marks: Colour) -> None:
    side, length = rng.uniform(-0.5, 0.5), rng.uniform(1.1, 1.6)
    reach = np.linspace(0, 1, 12)
    if species == "cat":  # Its tail is long, thin and curled; a dog's is short and thick, a rabbit's is a ball.
        tail = np.stack([side + 0.8 + 1.5 * reach, 2.4 - 2.2 * reach**2 + 0.3 * np.sin(7 * reach)], 1)
        pen.line(tail, shade(fur, 0.85), 0.16)
    elif species == "dog":
        tail = np.stack([side + 0.8 + 0.9 * reach, 2.0 - rng.uniform(0.3, 1.1) * reach], 1)
        pen.line(tail, shade(fur, 0.85), 0.28)
    else:
        ball = rng.uniform(0.24, 0.36)
        pen.ellipse(side + 1.0, 1.0 + 1.4 * length, ball, ball, shade(fur, 1.25))
    pen.ellipse(side, 1.0 + length, rng.uniform(0.8, 1.1), length, shade(fur, 0.92))
    for _ in range(rng.integers(0, 5)):
        pen.ellipse(
            side + rng.uniform(-0.5, 0.5), 1 + rng.uniform(0.5, 1.5) * length, 0.3, 0.15, marks, rng.uniform(-1, 1)
        )
    for leg in (-0.55, 0.55):
        pen.ellipse(side + leg, 1.2 + 1.6 * length, 0.26, 0.7, fur)
    if species == "rabbit":  # It has long hind feet.
        for foot in (-0.75, 0.75):
            pen.ellipse(side + foot, 1.3 + 1.9 * length, rng.uniform(0.45, 0.6), 0.22, fur)


def _draw_ears(pen: Pen, species: str, rng: np.random.Generator, colour: Colour, *, standing: bool) -> None:
    if species == "cat":
        _draw_cat_ears(pen, rng, colour)
    elif species == "dog":
        _draw_dog_ears(pen, rng, colour, standing=standing)
    else:
        _draw_rabbit_ears(pen, rng, colour, standing=standing)


def _draw_cat_ears(pen: Pen, rng: np.random.Generator, fur: Colour) -> None:
    tip, lean = rng.uniform(1.15, 1.6), rng.uniform(0.5, 0.95)
    for side in (-1, 1):
        pen.polygon([(side * 0.2, -0.6), (side * lean, -tip), (side * 0.95, -0.1)], fur)
        pen.polygon([(side * 0.4, -0.65), (side * lean, -tip + 0.25), (side * 0.8, -0.35)], vary(PINK, rng, 20))


def _draw_dog_ears(pen: Pen, rng: np.random.Generator, colour: Colour, *, standing: bool) -> None:
    length, drop = rng.uniform(0.5, 0.75), rng.uniform(0.1, 0.5)
    for side in (-1, 1):
        if standing:  # like a cat's, but rounded
            pen.ellipse(side * 0.62, -0.85, 0.3, length, shade(colour, 0.8), side * 0.35)
        else:  # hanging over the cheeks
            pen.ellipse(side * 0.98, drop, 0.3, length, shade(colour, 0.8), side * -0.2)


def _draw_rabbit_ears(pen: Pen, rng: np.random.Generator, colour: Colour, *, standing: bool) -> None:
    length, width = rng.uniform(0.75, 1.15), rng.uniform(0.2, 0.28)
    for side in (-1, 1):
        if standing:  # twice as long as a dog's, and pink inside
            lean = rng.uniform(0.05, 0.4)
            x, y = side * (0.32 + 0.5 * length * lean), -0.65 - 0.8 * length
            pen.ellipse(x, y, width, length, shade(colour, 0.9), side * lean)
            pen.ellipse(x, y, 0.55 * width, 0.8 * length, vary(PINK, rng, 20), side * lean)
        else:  # lop ears, which reach below the chin
            pen.ellipse(side * 1.02, 0.25 + 0.45 * length, width * 1.1, length, shade(colour, 0.8), side * -0.12)


def _draw_cat_face(pen: Pen, rng: np.random.Generator, look: float, fur: Colour) -> None:
    iris = vary((150, 180, 60) if rng.random() < 0.6 else (220, 180, 60), rng, 30)
    pupil = rng.uniform(0.04, 0.12)
    for side in (-1, 1):
        pen.ellipse(look + side * 0.4, -0.05, 0.2, 0.15, iris, side * -0.25)
        pen.ellipse(look + side * 0.4, -0.05, pupil, 0.14, BLACK)
    pen.polygon([(look - 0.1, 0.32), (look + 0.1, 0.32), (look, 0.45)], vary(PINK, rng, 25))
    pen.line([(look - 0.25, 0.62), (look, 0.46), (look + 0.25, 0.62)], BLACK, 0.04)
    if rng.random() < 0.85:
        pale = WHITE if sum(fur) < 420 else BLACK
        for side in (-1, 1):
            for slope in (-0.18, 0.0, 0.18):
                end = (look + side * rng.uniform(1.1, 1.5), 0.45 + slope * 2 + rng.uniform(-0.05, 0.05))
                pen.line([(look + side * 0.3, 0.45 + slope * 0.4), end], pale, 0.025)


def _draw_dog_face(pen: Pen, rng: np.random.Generator, look: float, fur: Colour) -> None:
    iris = vary((70, 45, 30) if rng.random() < 0.75 else (150, 180, 60), rng, 20)
    for side in (-1, 1):
        pen.ellipse(look + side * 0.38, -0.1, 0.15, 0.17, iris)
        pen.ellipse(look + side * 0.38, -0.1, 0.09, 0.1, BLACK)
    muzzle = look * 1.4
    if rng.random() < 0.5:
        pen.ellipse(muzzle, 0.95, 0.15, rng.uniform(0.2, 0.4), vary((220, 90, 100), rng, 20))
    pen.ellipse(muzzle, 0.55, rng.uniform(0.36, 0.5), rng.uniform(0.35, 0.5), shade(fur, 1.2))
    pen.ellipse(muzzle, 0.36, rng.uniform(0.13, 0.2), 0.12, vary(BLACK, rng, 12))
    pen.line([(muzzle - 0.25, 0.75), (muzzle, 0.65), (muzzle + 0.25, 0.75)], BLACK, 0.04)


def _draw_rabbit_face(pen: Pen, rng: np.random.Generator, look: float, fur: Colour) -> None:
    iris = vary((70, 45, 30) if rng.random() < 0.7 else (150, 40, 50), rng, 20)
    for side in (-1, 1):  # The eyes are far apart.
        pen.ellipse(look + side * 0.55, -0.08, 0.14, 0.18, iris)
        pen.ellipse(look + side * 0.55, -0.08, 0.08, 0.11, BLACK)
    for side in (-1, 1):
        pen.ellipse(look + side * 0.2, 0.6, 0.24, 0.2, shade(fur, 1.15))
    for side in (-1, 1):  # teeth
        corners = [(0.0, 0.72), (0.11, 0.72), (0.1, 0.98), (0.01, 0.98)]
        pen.polygon([(look + side * x, y) for x, y in corners], WHITE)
    pen.polygon([(look - 0.09, 0.36), (look + 0.09, 0.36), (look, 0.48)], vary(PINK, rng, 25))
    pen.line([(look, 0.48), (look, 0.68)], BLACK, 0.035)
    pen.line([(look - 0.22, 0.76), (look, 0.68), (look + 0.22, 0.76)], BLACK, 0.035)
    if rng.random() < 0.6:
        pale = WHITE if sum(fur) < 420 else BLACK
        for side in (-1, 1):
            for slope in (-0.12, 0.08):
                end = (look + side * rng.uniform(0.9, 1.3), 0.6 + slope * 2 + rng.uniform(-0.05, 0.05))
                pen.line([(look + side * 0.3, 0.58 + slope * 0.4), end], pale, 0.025)


def shade(colour: Colour, factor: float) -> Colour:
    """Multiply a colour by `factor`: below 1 it gets darker, above 1 lighter."""
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def vary(colour: Colour, rng: np.random.Generator, spread: int) -> Colour:
    """Change each channel of a colour at random, by at most `spread` of 255."""
    red, green, blue = (int(np.clip(value + rng.integers(-spread, spread + 1), 0, 255)) for value in colour)
    return red, green, blue
