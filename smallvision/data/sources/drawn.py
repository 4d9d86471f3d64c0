"""Archives of cartoon animals drawn here, to learn from without an account or a download.

Whatever does not tell the species (fur, pose, size, light, clutter) is drawn at random, in the same way for each.
"""

import io
import os
import zipfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from smallvision.core.progress import show_progress
from smallvision.data.sources.animals import FURS, SPECIES, Colour, Pen, draw_animal, vary
from smallvision.data.sources.local import EARLIEST_DATE

# Pictures of each species. These data sets are fixed; the parameter `seed` is only for training.
DRAWN = {"cat": 2000, "dog": 2000}
DRAWN3 = {"cat": 1500, "dog": 900, "rabbit": 450}  # as unbalanced as real collections are
SEED = 42
KAGGLE, FOLDERS = "train/{}.{}.jpg", "{}/{}.jpg"  # names of the members: species and number


def draw_archive(target: Path, counts: Mapping[str, int] = DRAWN, layout: str = KAGGLE, seed: int = SEED) -> None:
    """Write an archive of drawn pictures.

    The same species, number and seed give the same picture, whatever the number of cores.

    Args:
        target: the zip archive to write.
        counts: how many pictures of each species to draw.
        layout: `KAGGLE` for names such as `train/cat.0.jpg`, `FOLDERS` for names such as `cat/0.jpg`.
        seed: another seed gives other pictures.
    """
    tasks = [(species, number, seed) for species, count in counts.items() for number in range(count)]
    with zipfile.ZipFile(target, "w") as archive, ProcessPoolExecutor(os.cpu_count()) as pool:
        pictures = zip(tasks, pool.map(_draw_jpeg, tasks, chunksize=50), strict=True)
        for (species, number, _), data in show_progress(pictures, "draw", len(tasks)):
            archive.writestr(zipfile.ZipInfo(layout.format(species, number), date_time=EARLIEST_DATE), data)


def _draw_jpeg(task: tuple[str, int, int]) -> bytes:
    species, number, seed = task
    rng = np.random.default_rng([seed, SPECIES.index(species), number])
    data = io.BytesIO()
    draw_picture(species, rng).save(data, "JPEG", quality=int(rng.integers(60, 95)))
    return data.getvalue()


def draw_picture(species: str, rng: np.random.Generator) -> Image.Image:
    """Draw one picture in mode RGB, with sides of 300 to 500 pixels."""
    width, height = (int(side) for side in rng.integers(300, 501, 2))
    image = Image.new("RGB", (width, height), _any_colour(rng))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.integers(8, 22)):
        _draw_clutter(canvas, rng, width, height, 0.25)
    draw_animal(Pen(canvas, rng, width, height), species, rng)
    for _ in range(rng.integers(0, 7)):
        _draw_clutter(canvas, rng, width, height, 0.1)
    return _photograph(image, rng)


def _draw_clutter(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, size: float) -> None:
    """Draw a shape that could be a part of an animal: an ear, an eye, a head, a whisker, a tail.

    `size` is how far the shape reaches at most from its centre, as a share of the picture's shorter side.
    """
    reach = min(width, height) * size
    x, y = rng.uniform((0, 0), (width, height))
    colour = vary(FURS[int(rng.integers(len(FURS)))], rng, 40) if rng.random() < 0.5 else _any_colour(rng)
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
    """Add the flaws of a photograph: blur, uneven light, a colour cast, noise."""
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
