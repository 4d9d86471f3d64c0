"""Decide which picture goes to which subset, so that copies of a picture are never in two subsets."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import SUBSETS


def sizes_by_share(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many pictures of a class each subset gets.

    A subset gets its share rounded down, but at least one picture. The pictures that are left go one by one to the
    subsets that lost most by rounding.

    Args:
        count: the number of pictures of the class, at least three.
        shares: the share of each subset; only their proportions count.

    Source: the largest remainder method, known from elections.
    """
    whole = math.fsum(shares.values())
    quotas = {subset: count * shares[subset] / whole for subset in SUBSETS}
    sizes = {subset: max(math.floor(quota), 1) for subset, quota in quotas.items()}
    while (more := count - sum(sizes.values())) != 0:
        if more > 0:
            sizes[max(SUBSETS, key=lambda subset: quotas[subset] - sizes[subset])] += 1
        else:  # Take one back from the subset that got most beyond its share, but never its only one.
            several = [subset for subset in SUBSETS if sizes[subset] > 1]
            sizes[min(several, key=lambda subset: quotas[subset] - sizes[subset])] -= 1
    return sizes


def assign_by_share(
    labels: Sequence[str], groups: Sequence[Sequence[int]], sizes: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Return a subset for every picture, so that no group of duplicates is split and every class is in every subset.

    A unit is a group of duplicates, or a picture without any. The groups are assigned first, from the largest to the
    smallest, then the other pictures in order. Each unit goes to the first subset that has room for it, or else to the
    one that it would overfill least. However, if a class has no more units left than there are subsets without that
    class, the unit goes to one of those. So the sizes are met exactly, unless there are too many copies.

    Args:
        labels: the class of each picture, class by class.
        groups: for each group of duplicates, the indices of its pictures.
        sizes: for each class, the number of pictures in each subset, at least one.

    Raises:
        InputError: a class has so many copies that it cannot be in every subset.
    """
    grouped = {index for group in groups for index in group}
    units = [*sorted(groups, key=len, reverse=True), *([index] for index in range(len(labels)) if index not in grouped)]
    classes = [Counter(labels[index] for index in unit) for unit in units]
    left = Counter(label for counts in classes for label in counts)
    room = {label: dict(sizes[label]) for label in sizes}
    without = {label: set(SUBSETS) for label in sizes}
    subsets = [""] * len(labels)
    for unit, counts in zip(units, classes, strict=True):
        urgent = [label for label in counts if left[label] <= len(without[label])]
        ranks = {
            subset: (
                sum(subset in without[label] for label in urgent),
                min(0, *(room[label][subset] - count for label, count in counts.items())),
            )
            for subset in SUBSETS
        }
        home = max(SUBSETS, key=ranks.__getitem__)
        for index in unit:
            subsets[index] = home
        for label, count in counts.items():
            left[label] -= 1
            room[label][home] -= count
            without[label].discard(home)
    for label, missing in without.items():
        if missing:
            raise InputError(
                f"copies of a picture stay in one subset, which leaves none of {label} for "
                f"{' and '.join(subset for subset in SUBSETS if subset in missing)}; remove copies, or add pictures"
            )
    return subsets


def assign_by_count(labels: Sequence[str], groups: Sequence[Sequence[int]], sizes: Mapping[str, int]) -> list[str]:
    """Return a subset for every picture, so that no group of duplicates is split.

    The first `sizes["train"]` pictures of each class go to train, the next ones to validation, the last to test. Then
    all duplicates of a group move to the first of their subsets. Each changes places with a picture of its class in
    that subset: the last one that has no duplicates.

    Args:
        labels: the class of each picture, class by class, `sum(sizes.values())` of each.
        groups: for each group of duplicates, the indices of its pictures.
        sizes: the number of pictures per class in each subset.

    Raises:
        InputError: there are too many duplicates to do so.
    """
    by_number = [subset for subset in SUBSETS for _ in range(sizes[subset])]
    subsets = by_number * len(set(labels))
    grouped = {index for group in groups for index in group}
    for group in groups:
        home = min((subsets[index] for index in group), key=SUBSETS.index)
        for index in group:
            if subsets[index] == home:
                continue
            for other in reversed(range(len(labels))):
                if labels[other] == labels[index] and subsets[other] == home and other not in grouped:
                    subsets[other], subsets[index] = subsets[index], home
                    break
            else:
                raise InputError(
                    f"{len(grouped)} pictures are copies of others, too many to keep each group in one subset; "
                    f"remove copies, or raise the count {home} of `split`"
                )
    return subsets
