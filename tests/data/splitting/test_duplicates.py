"""Copies are found, whatever was done to them; different pictures are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from smallvision.data.sources.drawn import draw_picture
from smallvision.data.splitting.duplicates import MAX_DISTANCE, Appearance, appearance_of, group_duplicates


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return [draw_picture(("cat", "dog")[n % 2], np.random.default_rng([9, n])) for n in range(20)]


@pytest.fixture(scope="module")
def appearances(drawn) -> list[Appearance]:
    return [appearance_of(image) for image in drawn]


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
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    ],
    ids=["copy", "jpeg 50", "mirrored", "resized", "darker", "blurred"],
)
def test_every_changed_copy_is_found_and_nothing_else(drawn, appearances, change):
    changed = [appearance_of(change(image)) for image in drawn]
    assert group_duplicates([*appearances, *changed]) == [[index, index + len(drawn)] for index in range(len(drawn))]


def test_appearances_can_be_compared():
    """Comparing their arrays would raise an error, because the truth value of an array is not defined."""
    first, second = (Appearance(np.zeros((2, 4), np.uint64), np.zeros((8, 8, 3), np.float32)) for _ in range(2))
    assert first == first
    assert first != second


def test_a_copy_of_a_copy_belongs_to_the_first():
    hashes = np.zeros((4, 2, 4), np.uint64)
    hashes[:, 1] = ~np.uint64(0)  # the mirror images are far away
    hashes[1, 0, 0] = 2**20 - 1  # 20 bits from the first
    hashes[2, 0, 0] = 2**40 - 1  # 20 bits from the second, 40 from the first
    hashes[3, 0, 3] = ~np.uint64(0)  # 64 bits from each
    appearances = [Appearance(each, np.ones((8, 8, 3), np.float32)) for each in hashes]
    assert group_duplicates(appearances) == [[0, 1, 2]]
    assert group_duplicates([appearances[index] for index in (0, 2, 1, 3)]) == [[0, 1, 2]]


def test_every_pair_within_the_distance_is_found():
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 2**64, (40, 2, 4), np.uint64)
    for index in range(1, 40, 2):  # the one before or its mirror image, with up to 32 other bits
        bits = np.unpackbits(hashes[index - 1, index % 4 // 2].view(np.uint8))
        bits[rng.permutation(256)[: rng.integers(19, 33)]] ^= 1
        hashes[index, 0] = np.packbits(bits).view(np.uint64)
    distances = np.bitwise_count(hashes[1::2, :1] ^ hashes[::2]).sum(axis=2).min(axis=1)
    near = [[2 * pair, 2 * pair + 1] for pair in np.flatnonzero(distances <= MAX_DISTANCE).tolist()]
    assert 3 < len(near) < 17
    assert group_duplicates([Appearance(each, np.ones((8, 8, 3), np.float32)) for each in hashes]) == near


def test_plain_pictures_of_other_colours_are_no_copies(drawn):
    colours = ["red", "green", "blue", "white", "yellow", "magenta"]
    assert group_duplicates([appearance_of(Image.new("RGB", (60, 60), colour)) for colour in colours]) == []
    first = drawn[0]
    swapped = Image.merge("RGB", first.split()[::-1])
    assert group_duplicates([appearance_of(first), appearance_of(swapped)]) == []


def test_parts_on_a_white_belt_are_no_copies():
    rng = np.random.default_rng(6)
    pictures = []
    for _ in range(40):
        picture = Image.new("RGB", (200, 200), "white")
        (x, y), radius = rng.integers(40, 160, 2).tolist(), int(rng.integers(20, 35))
        colour = tuple(rng.integers(0, 200, 3).tolist())
        ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        pictures.append(picture)
    assert group_duplicates([appearance_of(picture) for picture in pictures]) == []
