"""Find exact and near duplicates among pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image, ImageOps

HASH_SIZE = 16  # bits per side, 256 in all; with only 64, some different photographs differ by 10 bits or less
# Another size, brightness, blur or JPEG quality changes up to 6 bits. Among 4,000 photographs there are two pairs of
# copies, which differ by 4 and 10 bits; all other pairs differ by at least 80.
MAX_DISTANCE = 25  # bits

# Pictures with little content (a part on a belt, an empty slide) may share a hash, so their thumbnails must correlate,
# too. The correlation is above 0.98 for copies changed as above, and below 0.94 for different discs on white.
MIN_CORRELATION = 0.97
THUMBNAIL = 8  # pixels per side


@dataclass(frozen=True, eq=False)  # an array has no truth value, so comparing two would raise an error
class Appearance:
    """What a picture looks like.

    Attributes:
        hashes: uint64 array `(2, 4)`, the perceptual hashes of the picture and of its mirror image.
        thumbnail: float32 array `(8, 8, 3)`, RGB in [0, 255].
    """

    hashes: np.ndarray
    thumbnail: np.ndarray


def appearance_of(image: Image.Image) -> Appearance:
    """Return what a picture in mode RGB has in common with its copies.

    Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
    as implemented by ImageHash.
    """
    # The picture is reduced once, to the size that ImageHash works on, so that the steps below read less.
    small = image.resize((4 * HASH_SIZE, 4 * HASH_SIZE), Image.Resampling.BILINEAR)
    grey = small.convert("L")
    bits = [imagehash.phash(view, hash_size=HASH_SIZE).hash for view in (grey, ImageOps.mirror(grey))]
    thumbnail = np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32)
    return Appearance(np.packbits(np.reshape(bits, (2, -1)), axis=1).view(np.uint64), thumbnail)


def group_duplicates(appearances: Sequence[Appearance]) -> list[list[int]]:
    """Find the groups of pictures that are copies or mirror images of each other.

    Returns:
        Groups of two or more indices. Each is sorted, and the groups are in the order of their first indices.
    """
    hashes = np.stack([each.hashes for each in appearances])
    first_words = np.ascontiguousarray(hashes[:, 0, 0])
    leader = np.arange(len(hashes))
    for index in range(len(hashes) - 1):
        # Hashes differ by at least as many bits as their first words, which leave few pictures to compare in full.
        part = np.bitwise_count(first_words[index + 1 :] ^ hashes[index, :, :1]).min(axis=0)
        near = np.flatnonzero(part <= MAX_DISTANCE) + index + 1
        distance = np.bitwise_count(hashes[near, :1] ^ hashes[index]).sum(axis=2).min(axis=1)
        for other in near[distance <= MAX_DISTANCE].tolist():
            if _look_alike(appearances[index].thumbnail, appearances[other].thumbnail):
                # This joins two groups, so that a copy of a copy is in the group of the first picture.
                leader[leader == leader[other]] = leader[index]
    groups: dict[int, list[int]] = {}
    for index, first in enumerate(leader):
        groups.setdefault(int(first), []).append(index)
    return sorted(group for group in groups.values() if len(group) > 1)


def _look_alike(first: np.ndarray, second: np.ndarray) -> bool:
    if np.array_equal(first, second):
        return True
    views = [first.ravel(), second.ravel(), second[:, ::-1].ravel()]
    if min(float(view.std()) for view in views) == 0:  # One is a single shade of grey, which has no correlation.
        return False
    return float(np.corrcoef(views)[0, 1:].max()) >= MIN_CORRELATION
