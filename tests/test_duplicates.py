"""Copies are found, whatever was done to them; different pictures are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from smallvision.duplicates import group_duplicates, hash_picture
from smallvision.sources.drawn import draw_picture

PICTURES = [draw_picture(("cat", "dog")[n % 2], np.random.default_rng([9, n])) for n in range(30)]


def recompressed(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        recompressed,
        ImageOps.mirror,
        lambda image: image.resize((200, 200)),
        lambda image: image.convert("L"),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    ],
    ids=["copy", "jpeg 50", "mirrored", "resized", "grey", "darker", "blurred"],
)
def test_every_changed_copy_is_found_and_nothing_else(change):
    pictures = [*PICTURES, *(change(image) for image in PICTURES)]
    groups = group_duplicates(np.stack([hash_picture(image) for image in pictures]))
    assert groups == [[index, index + len(PICTURES)] for index in range(len(PICTURES))]


def test_a_copy_of_a_copy_belongs_to_the_first():
    hashes = np.zeros((4, 2, 4), np.uint64)
    hashes[:, 1] = ~np.uint64(0)  # the mirror images are far away
    hashes[1, 0, 0] = 2**20 - 1  # 20 bits from the first
    hashes[2, 0, 0] = 2**40 - 1  # 20 from the second, 40 from the first
    hashes[3, 0, 3] = ~np.uint64(0)  # 64 from each
    assert group_duplicates(hashes) == [[0, 1, 2]]
    assert group_duplicates(hashes[[0, 2, 1, 3]]) == [[0, 1, 2]]
