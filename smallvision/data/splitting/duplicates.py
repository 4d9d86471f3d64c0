"""Exact and near duplicates among pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image, ImageOps

HASH_SIZE = 16  # 256 bits: at 64, different photographs come within 10 bits of each other
# Another size, brightness, blur or JPEG quality changes up to 6 bits. Of 4,000 photographs the two
# true pairs differ by 4 and 10 bits, all others by 80 and more.
MAX_DISTANCE = 25


# Pictures of little content (a part on a belt, an empty slide) may share a hash, so thumbnails must
# correlate, too. Those of copies changed as above do by more than 0.98, of discs on white by less than 0.94.
MIN_CORRELATION = 0.97
THUMBNAIL = 8


@dataclass(frozen=True)
class Fingerprint:
    """What a picture looks like.

    `hashes`: uint64 `(2, 4)`, its own and its mirror image's; `thumbnail`: float32 `(8, 8, 3)`.
    """

    hashes: np.ndarray
    thumbnail: np.ndarray


def fingerprint(image: Image.Image) -> Fingerprint:
    """Return what a copy of the picture has in common with it.

    Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
    as implemented by ImageHash.
    """
    # Reduced once, to the size ImageHash computes with, so that not all read the whole picture.
    small = image.resize((4 * HASH_SIZE, 4 * HASH_SIZE), Image.Resampling.BILINEAR)
    grey = small.convert("L")
    bits = [imagehash.phash(view, hash_size=HASH_SIZE).hash for view in (grey, ImageOps.mirror(grey))]
    thumbnail = np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32)
    return Fingerprint(np.packbits(np.reshape(bits, (2, -1)), axis=1).view(np.uint64), thumbnail)


def group_duplicates(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Find the groups of pictures that show the same, the mirror image included.

    Returns:
        Groups of two or more indices, each sorted, ordered by their first.
    """
    hashes = np.stack([each.hashes for each in prints])
    leader = np.arange(len(hashes))
    for index in range(len(hashes) - 1):
        later = hashes[index + 1 :, 0]
        distance = np.bitwise_count(later[:, None] ^ hashes[index]).sum(axis=2).min(axis=1)
        for other in (np.flatnonzero(distance <= MAX_DISTANCE) + index + 1).tolist():
            if _look_alike(prints[index].thumbnail, prints[other].thumbnail):
                # Joins two groups, so that a copy of a copy belongs to the first.
                leader[leader == leader[other]] = leader[index]
    groups: dict[int, list[int]] = {}
    for index, first in enumerate(leader):
        groups.setdefault(int(first), []).append(index)
    return sorted(group for group in groups.values() if len(group) > 1)


def _look_alike(first: np.ndarray, second: np.ndarray) -> bool:
    if np.array_equal(first, second):
        return True
    views = [first.ravel(), second.ravel(), second[:, ::-1].ravel()]
    if min(float(view.std()) for view in views) == 0:  # plain, and of another colour
        return False
    return float(np.corrcoef(views)[0, 1:].max()) >= MIN_CORRELATION
