"""Exact and near duplicates among pictures."""

import imagehash
import numpy as np
from PIL import Image, ImageOps

HASH_SIZE = 16  # 256 bits: at 64, different photographs come within 10 bits of each other
# Another size, brightness, blur or JPEG quality changes up to 6 bits. Of 4,000 photographs the two
# true pairs differ by 4 and 10 bits, all others by 80 and more.
MAX_DISTANCE = 25


def hash_picture(image: Image.Image) -> np.ndarray:
    """Return the perceptual hash of a picture and of its mirror image.

    Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
    as implemented by ImageHash.

    Returns:
        uint64 array `(2, 4)`.
    """
    # Reduced once, to the size ImageHash computes with, so that not both read the whole picture.
    small = image.convert("L").resize((4 * HASH_SIZE, 4 * HASH_SIZE), Image.Resampling.BILINEAR)
    bits = [imagehash.phash(view, hash_size=HASH_SIZE).hash for view in (small, ImageOps.mirror(small))]
    return np.packbits(np.reshape(bits, (2, -1)), axis=1).view(np.uint64)


def group_duplicates(hashes: np.ndarray) -> list[list[int]]:
    """Find the groups of pictures that show the same, the mirror image included.

    Args:
        hashes: uint64 array `(n, 2, 4)`, from `hash_picture`.

    Returns:
        Groups of two or more indices, each sorted, ordered by their first.
    """
    leader = np.arange(len(hashes))
    for index in range(len(hashes) - 1):
        later = hashes[index + 1 :, 0]
        distance = np.bitwise_count(later[:, None] ^ hashes[index]).sum(axis=2).min(axis=1)
        for other in np.flatnonzero(distance <= MAX_DISTANCE) + index + 1:
            # Joins two groups, so that a copy of a copy belongs to the first.
            leader[leader == leader[other]] = leader[index]
    groups: dict[int, list[int]] = {}
    for index, first in enumerate(leader):
        groups.setdefault(int(first), []).append(index)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)
