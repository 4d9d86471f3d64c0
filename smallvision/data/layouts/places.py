"""Where pictures lie: which of their folders name a subset, and which are left to name a class."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from smallvision.data.layouts.words import (
    GENERIC,
    could_be_classes,
    is_annotation,
    is_generic,
    is_only_a_subset,
    is_unlabelled,
    latest_subset_in,
    subset_in,
    words_of,
)

MASKS = "mask or other annotation"
_MASK_NAME = re.compile(
    r"(?P<picture>.+?)[ ._-]*(mask|seg|segmentation|gt|groundtruth|trimap|annotation)s?([ ._-]?\d+)?"
)


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        path: its path.
        folders: the folders that may name its class, from the top.
        subset: the subset that another folder names, if any.
        groups: folders below that of its class which were taken out of `folders`, but may name a group: `sample_00`.
        beside: whether it lies beside the folders of the subsets, or in a folder that says that it has no label. It
            then has a label only if a folder of it is called like a class.
    """

    path: str
    folders: tuple[str, ...]
    subset: str | None = None
    groups: tuple[str, ...] = ()
    beside: bool = False


def find_masks(paths: Sequence[str]) -> set[str]:
    """Return those of some pictures that are masks or other annotations, by their names or those of their folders.

    A folder of masks stands beside one of images or of a subset: `mask` may be a class among others. A file has the
    name of a picture in the same folder with a word behind it: `benign (1)_mask.png`.
    """
    stems = {(str(pure.parent), pure.stem) for pure in map(PurePosixPath, paths)}
    found = set()
    for path in paths:
        pure = PurePosixPath(path)
        match = _MASK_NAME.fullmatch(pure.stem)
        if match and (str(pure.parent), match["picture"]) in stems:
            found.add(path)
    folders = {path: PurePosixPath(path).parts[:-1] for path in paths}
    for depth in range(max(map(len, folders.values()), default=0)):
        names = {parts[depth] for parts in folders.values() if len(parts) > depth}
        masks = {name for name in names if is_annotation(name)}
        others = names - masks
        subsets = _subsets_among(others)
        if masks and others and all(is_generic(name) or name in subsets for name in others):
            found.update(path for path, parts in folders.items() if len(parts) > depth and parts[depth] in masks)
    return found


def places_of(paths: Sequence[str], labels: str = "auto") -> list[Place]:
    """Return where pictures lie, and find the folders that name a subset, on any level of folders.

    The rule looks at all names on a level together, because `train` is a class among `plane` and `car`.

    Args:
        paths: the pictures.
        labels: the parameter. With `top`, a folder beside those of classes is a class whatever its name. With
            `parent`, a folder with the same folders below as one of its neighbours is no class.
    """
    return _without_subsets([Place(path, PurePosixPath(path).parts[:-1]) for path in paths], 0, labels)


def _without_subsets(places: list[Place], depth: int, labels: str) -> list[Place]:
    """Take the folders of subsets out, from a level of folders downwards."""
    while any(len(place.folders) > depth for place in places if not place.beside):
        found = _take_out(places, depth, labels)
        if found is None:
            depth += 1
        else:
            places = found
    return places


def _take_out(places: Sequence[Place], depth: int, labels: str) -> list[Place] | None:
    """Take the names on one level of folders out if they are those of subsets; None: they are not."""
    level = [place for place in places if len(place.folders) > depth and not place.beside]
    subsets = _subsets_among({place.folders[depth] for place in level})
    parents = {place.folders[:depth] for place in level if place.folders[depth] in subsets}
    below: dict[str, set[str]] = defaultdict(set)
    for place in level:
        if place.folders[:depth] in parents:
            below[place.folders[depth]].update(place.folders[depth + 1 : depth + 2])
    unlabelled = {name for name in below if is_unlabelled(name) and labels != "top"}
    inside = set().union(*(below[name] for name in subsets if name in below))
    alike = {name for name in below.keys() - subsets.keys() - unlabelled if below[name] & inside}
    # With the same folders below as train/, test_v2/ is a test set, whatever its other words.
    subsets |= {name: subset for name in alike if (subset := latest_subset_in(name))}
    names = set(subsets)
    others, alike = below.keys() - names - unlabelled, alike - names
    wrapping = {place.folders[depth] for place in level if any(map(is_only_a_subset, place.folders[depth + 1 :]))}
    taken, aside = _subset_level(below, subsets, others, alike, wrapping, labels)
    if not names:
        taken, aside = set(), set()
    unlabelled |= aside
    if not taken and not unlabelled:
        return None
    found = [
        _without(place, depth, subsets, taken, unlabelled) if place.folders[:depth] in parents else place
        for place in places
    ]
    return _unpacked_beside(found, depth, labels)


def _subset_level(
    below: Mapping[str, set[str]],
    subsets: Mapping[str, str],
    others: set[str],
    alike: set[str],
    wrapping: set[str],
    labels: str,
) -> tuple[set[str], set[str]]:
    """Decide whether names on a level are subsets although other names stand beside them.

    Args:
        below: for each name, the folders in it.
        subsets: the names that a subset may have, with the subset.
        others: the other names.
        alike: those of the others with the same folders below as one of a subset.
        wrapping: the names with the folder of a subset somewhere below.
        labels: the parameter.

    Returns:
        The names that are no classes, and those whose pictures lie aside of the subsets.
    """
    names = set(subsets)
    inside = set().union(*(below[name] for name in names))
    twins = labels == "parent" or not could_be_classes(others - _namesakes(names, others))
    if others and others <= wrapping:
        return names | others, set()  # test/ beside a folder that holds train/ and valid/
    if len(set(subsets.values())) > 1 or not others or (alike and twins):
        return names | alike, others - alike
    if len(inside) > 1 and not any(below[name] for name in others):
        return names | alike, others - alike
    if inside & others:  # cat/, dog/ and test/cat/, test/dog/
        return names, set()
    if inside or labels == "top" or set(subsets.values()) == {"train"}:
        return set(), set()  # a class may be called so: train/, plane/ and car/
    return set(), {name for name in names if is_only_a_subset(name)}  # pictures in test/ beside cat/ and dog/


def _namesakes(names: Collection[str], others: Collection[str]) -> set[str]:
    """Return the names that a subset's name repeats, as `rps-test-set` repeats `rps`."""
    rests = {tuple(word for word in pair[1] if word not in GENERIC) for name in names if (pair := subset_in(name))}
    return {name for name in others if tuple(word for word in words_of(name) if word not in GENERIC) in rests}


def _unpacked_beside(places: Sequence[Place], depth: int, labels: str) -> list[Place]:
    """Find the subsets in folders that lie beside those of subsets, as where an archive was packed a second time."""
    aside = [place for place in places if place.beside and len(place.folders) > depth + 1]
    again = _without_subsets(
        [replace(place, beside=False, folders=place.folders[depth + 1 :]) for place in aside], 0, labels
    )
    found = {
        place.path: replace(place, folders=old.folders[:depth] + place.folders)
        for old, place in zip(aside, again, strict=True)
        if place.subset
    }
    return [found.get(place.path, place) for place in places]


def _subsets_among(names: Collection[str]) -> dict[str, str]:
    """Return those names of a level that are a subset's, with the subset.

    Other words in a name are no hindrance if they mean nothing (`test_images`), or if another name has the same ones
    (`flowers_train` and `flowers_test`, or `rps` and `rps-test-set`). Beside `invalid`, `valid` is no subset.
    """
    found = {name: pair for name in names if (pair := subset_in(name))}
    if any("invalid" in words_of(name) for name in names):
        found = {name: pair for name, pair in found.items() if "valid" not in words_of(name)}
    rests = {name: tuple(word for word in rest if word not in GENERIC) for name, (_, rest) in found.items()}
    plain = {tuple(word for word in words_of(name) if word not in GENERIC) for name in names if name not in found}
    return {
        name: subset
        for name, (subset, _) in found.items()
        if not rests[name]
        or rests[name] in plain
        or any(rests[other] == rests[name] and found[other][0] != subset for other in found)
    }


def _without(
    place: Place, depth: int, subsets: Mapping[str, str], taken: Collection[str], beside: Collection[str]
) -> Place:
    """Take one folder out of a place, and note what it said. A folder beside those of subsets may name a class."""
    if len(place.folders) <= depth or place.beside:
        return place  # it lies loose in a folder above, or was set aside before
    name = place.folders[depth]
    if name in beside:
        return replace(place, beside=True)
    if name not in taken:
        return place
    folders = place.folders[:depth] + place.folders[depth + 1 :]
    return replace(place, folders=folders, subset=subsets.get(name, place.subset))
