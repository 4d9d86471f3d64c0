"""Decide which picture goes to which subset, so that what belongs together is never in two subsets.

Pictures are numbered class by class. A *unit* is what must stay together: the pictures of a group, the copies of a
picture, or all that these two relations join; most units are single pictures.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import SUBSETS


def join(count: int, relations: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return the units of pictures 0 to `count - 1`, given which pictures belong together.

    Returns:
        Units of one or more pictures. Each is sorted, and they are in the order of their first pictures.
    """
    unit_of = {index: [index] for index in range(count)}
    for related in relations:
        for index in related[1:]:
            first, other = unit_of[related[0]], unit_of[index]
            if first is not other:
                if len(first) < len(other):  # Moving the smaller one keeps the whole fast.
                    first, other = other, first
                first.extend(other)
                unit_of.update(dict.fromkeys(other, first))
    return sorted(sorted(unit) for unit in {id(unit): unit for unit in unit_of.values()}.values())


def sizes_by_share(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many pictures of a class each subset gets.

    A subset gets its share rounded down, but at least one picture. The pictures that are left go one by one to the
    subsets that lost most by rounding.

    Args:
        count: the number of pictures of the class, at least one for each subset.
        shares: the share of each subset; only their proportions count.

    Source: the largest remainder method, known from elections.
    """
    whole = math.fsum(shares.values())
    quotas = {subset: count * share / whole for subset, share in shares.items()}
    sizes = {subset: max(math.floor(quota), 1) for subset, quota in quotas.items()}
    while (more := count - sum(sizes.values())) != 0:
        if more > 0:
            sizes[max(sizes, key=lambda subset: quotas[subset] - sizes[subset])] += 1
        else:  # Take one back from the subset that got most beyond its share, but never its only one.
            several = [subset for subset in sizes if sizes[subset] > 1]
            sizes[min(several, key=lambda subset: quotas[subset] - sizes[subset])] -= 1
    return sizes


def assign_by_share(
    labels: Sequence[str], units: Sequence[Sequence[int]], sizes: Mapping[str, Mapping[str, int]]
) -> dict[int, str]:
    """Return a subset for every picture of the units.

    The units are assigned from the largest to the smallest, those of one size in order. Each goes to the first subset
    that has room for all of it, or else to the one that it would overfill least. However, if a class has no more units
    left than there are subsets without that class, the unit goes to one of those. So the sizes are met exactly where
    units are single pictures, and otherwise to within the largest unit.

    Args:
        labels: the class of each picture.
        units: what must stay together, all pictures that are to be assigned.
        sizes: for each class, the number of pictures in each subset, at least one.
    """
    return _place(labels, sorted(units, key=len, reverse=True), sizes, whole=True)


def assign_up_to(
    labels: Sequence[str], units: Sequence[Sequence[int]], sizes: Mapping[str, Mapping[str, int]]
) -> dict[int, str]:
    """Return a subset for as many pictures of the units as `sizes` asks for; no subset gets more of a class.

    Units are taken in order until every class has enough pictures, and these are assigned from the largest to the
    smallest, because the small ones fill the gaps. The other units only fill what is then still open: if the largest of
    all were taken, they would be no fair sample. If no subset has room for all of a unit, it goes to the one with most
    room for it, and the rest of its pictures is in no subset.

    The arguments are those of `assign_by_share`.
    """
    needed = {label: sum(sizes[label].values()) for label in sizes}
    first, later = [], []
    for unit in units:
        if any(needed[labels[index]] > 0 for index in unit):
            first.append(unit)
            for index in unit:
                needed[labels[index]] -= 1
        else:
            later.append(unit)
    return _place(labels, [*sorted(first, key=len, reverse=True), *later], sizes, whole=False)


def _place(
    labels: Sequence[str], units: Sequence[Sequence[int]], sizes: Mapping[str, Mapping[str, int]], *, whole: bool
) -> dict[int, str]:
    """Assign each unit in turn. If `whole`, all pictures of a unit are used, though there may be no room for them."""
    made = list(next(iter(sizes.values())))
    classes = [Counter(labels[index] for index in unit) for unit in units]
    left = Counter(label for counts in classes for label in counts)
    room = {label: dict(sizes[label]) for label in sizes}
    without = {label: set(made) for label in sizes}
    assigned: dict[int, str] = {}
    for unit, counts in zip(units, classes, strict=True):
        urgent = [label for label in counts if left[label] <= len(without[label])]
        ranks = {}
        for subset in made:
            rooms = [(room[label][subset], count) for label, count in counts.items()]
            fit = min(0, *(free - count for free, count in rooms)) if whole else sum(min(pair) for pair in rooms)
            ranks[subset] = (sum(subset in without[label] for label in urgent), fit)
        home = max(made, key=ranks.__getitem__)
        for index in unit:
            if whole or room[labels[index]][home] > 0:
                assigned[index] = home
                room[labels[index]][home] -= 1
        for label in counts:
            left[label] -= 1
            without[label].discard(home)
    return assigned


def assign_by_count(labels: Sequence[str], groups: Sequence[Sequence[int]], sizes: Mapping[str, int]) -> dict[int, str]:
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
    subsets = dict(enumerate(by_number * len(set(labels))))
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
