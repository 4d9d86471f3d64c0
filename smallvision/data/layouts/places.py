"""Where pictures lie: which of their folders name a subset, and which are left to name a class."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    without_subset,
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
        folders: the folders that may name its class, from the top. Those that name a subset are taken out.
        subset: the subset that one of the folders taken out names, if any.
        groups: folders below that of its class which were taken out, but may name a group: `sample_00`.
        beside: whether it lies in a folder beside those of the subsets, or in one that says that it has no label. It
            then has a label only if one of its folders is called like a class.
    """

    path: str
    folders: tuple[str, ...]
    subset: str | None = None
    groups: tuple[str, ...] = ()
    beside: bool = False

    def without(self, depth: int) -> "Place":
        """Return the place with the folder on one level taken out."""
        return replace(self, folders=self.folders[:depth] + self.folders[depth + 1 :])


@dataclass(frozen=True)
class _Level:
    """The names of folders on one level that lie beside a folder called like a subset.

    Attributes:
        below: for each name, the names of the folders that lie directly in it.
        subsets: the names that say a subset, with that subset.
        unlabelled: the names that say that there are no labels.
        others: all other names.
        alike: those of the others that hold a folder of the same name as one in a subset's folder.
        wrapping: the names that hold the folder of a subset at any depth.
    """

    below: Mapping[str, set[str]]
    subsets: Mapping[str, str]
    unlabelled: set[str]
    others: set[str]
    alike: set[str]
    wrapping: set[str]


def find_masks(paths: Sequence[str]) -> set[str]:
    """Return the pictures that are masks or other annotations of pictures, going by the names of files and folders.

    A file is a mask if its name is that of a picture in the same folder with a word behind it: `benign (1)_mask.png`.
    A folder called `masks` holds masks only if all folders beside it are called like `images` or like a subset. Beside
    other names it is a class, as in `mask/` and `no_mask/`.
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

    A name alone does not tell: `train` is a subset beside `test`, but a class beside `plane` and `car`. So the rules
    look at all names on a level together, and at what lies in these folders.

    Args:
        paths: the pictures.
        labels: the parameter. With `top`, a folder beside those of classes is a class whatever its name. With
            `parent`, the classes are at the bottom, so a folder beside that of a subset is no class if both hold
            folders of the same name.
    """
    return _without_subsets([Place(path, PurePosixPath(path).parts[:-1]) for path in paths], 0, labels)


def _without_subsets(places: list[Place], depth: int, labels: str) -> list[Place]:
    """Take the folders of subsets out, from a level of folders downwards."""
    while any(len(place.folders) > depth for place in places if not place.beside):
        found = _take_out(places, depth, labels)
        if found is None:
            depth += 1
        else:  # What lay below has moved up, so the same level is looked at again.
            places = found
    return places


def _take_out(places: Sequence[Place], depth: int, labels: str) -> list[Place] | None:
    """Take the folders of subsets on one level out; None if there are none on it."""
    here = [place for place in places if len(place.folders) > depth and not place.beside]
    subsets = _subsets_among({place.folders[depth] for place in here})
    parents = {place.folders[:depth] for place in here if place.folders[depth] in subsets}
    level = _level_of(here, depth, subsets, parents, labels)
    taken, beside = _sort_names(level, labels)
    beside |= level.unlabelled
    if not taken and not beside:
        return None
    # train_cat/, train_dog/ and test_cat/: the rest of the name is the class.
    rests = {_telling(pair[1]) for name in level.subsets if (pair := subset_in(name))}
    affixed = (
        taken == set(level.subsets)
        and len(rests) > 1
        and not any(level.below.values())
        and all(without_subset(name) and not subset_in(without_subset(name)) for name in taken)
    )

    def moved(place: Place) -> Place:
        if place.beside or len(place.folders) <= depth or place.folders[:depth] not in parents:
            return place
        name = place.folders[depth]
        if name in beside:
            return replace(place, beside=True)
        if affixed:
            folders = (*place.folders[:depth], without_subset(name), *place.folders[depth + 1 :])
            return replace(place, folders=folders, subset=level.subsets[name])
        return replace(place.without(depth), subset=level.subsets.get(name, place.subset)) if name in taken else place

    return _unpacked_beside([moved(place) for place in places], depth, labels)


def _level_of(
    here: Sequence[Place], depth: int, subsets: Mapping[str, str], parents: Collection[tuple[str, ...]], labels: str
) -> _Level:
    """Return what lies on a level in the folders `parents`, which hold those of subsets."""
    below: dict[str, set[str]] = defaultdict(set)
    for place in here:
        if place.folders[:depth] in parents:
            below[place.folders[depth]].update(place.folders[depth + 1 : depth + 2])
    unlabelled = {name for name in below if is_unlabelled(name) and labels != "top"}
    inside = set().union(*(below[name] for name in subsets))
    alike = {name for name in below.keys() - subsets.keys() - unlabelled if below[name] & inside}
    # If it holds the same folders as train/, test_v2/ is a test set, whatever its other words.
    subsets = {**subsets, **{name: subset for name in alike if (subset := latest_subset_in(name))}}
    others = below.keys() - subsets.keys() - unlabelled
    wrapping = {place.folders[depth] for place in here if any(map(is_only_a_subset, place.folders[depth + 1 :]))}
    return _Level(below, subsets, unlabelled, others, alike & others, wrapping)


def _sort_names(level: _Level, labels: str) -> tuple[set[str], set[str]]:
    """Decide whether names that say a subset mean it, although other names stand beside them.

    Returns:
        The names that are taken out because they are no classes, and those whose pictures lie beside the subsets. If
        both are empty, the names that say a subset are classes.
    """
    names, others = set(level.subsets), level.others
    inside = set().union(*(level.below[name] for name in names))
    if others and others <= level.wrapping:
        return names | others, set()  # test/, and beside it a folder that only wraps train/ and valid/
    are_no_classes = labels == "parent" or not could_be_classes(others - _namesakes(names, others))
    if len(set(level.subsets.values())) > 1 or not others or (level.alike and are_no_classes):
        # train/ and test/; or nothing but train/; or train/cat/ and part_2/cat/, whose pictures are in no subset.
        return names | level.alike, others - level.alike
    if len(inside) > 1 and not any(level.below[name] for name in others):
        return names, others  # train/cat/ and train/dog/, and beside train/ some loose pictures in examples/
    if inside & others:
        return names, set()  # test/cat/ and test/dog/ beside the classes cat/ and dog/
    if inside or labels == "top" or set(level.subsets.values()) == {"train"}:
        # Classes that happen to be called so: valid/ and expired/, both with folders of views; or train/ beside plane/
        # and car/, because nobody keeps loose training pictures beside folders of classes.
        return set(), set()
    return set(), {name for name in names if is_only_a_subset(name)}  # loose pictures in test/ beside cat/ and dog/


def _telling(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that say more than that there are pictures."""
    return tuple(word for word in words if word not in GENERIC)


def _namesakes(names: Collection[str], others: Collection[str]) -> set[str]:
    """Return the names that a subset's name repeats, as `rps-test-set` repeats `rps`."""
    rests = {_telling(pair[1]) for name in names if (pair := subset_in(name))}
    return {name for name in others if _telling(words_of(name)) in rests}


def _unpacked_beside(places: Sequence[Place], depth: int, labels: str) -> list[Place]:
    """Find the subsets in folders beside those of subsets, where an archive holds everything a second time.

    Such an archive has `train/` and `test/`, and beside them a folder with another `train/` and `test/`.
    """
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
    """Return the subset of each name, among those on a level, that is called like one.

    A name may have other words too, if they mean nothing (`test_images`), or if another name on the level has the same
    ones (`flowers_train` and `flowers_test`, or `rps` and `rps-test-set`). With any other words it is a class, such as
    `train station`. Beside `invalid`, `valid` is a class too.
    """
    found = {name: pair for name in names if (pair := subset_in(name))}
    if any("invalid" in words_of(name) for name in names):
        found = {name: pair for name, pair in found.items() if "valid" not in words_of(name)}
    rests = {name: _telling(rest) for name, (_, rest) in found.items()}
    alone = {_telling(words_of(name)) for name in names if name not in found}
    return {
        name: subset
        for name, (subset, _) in found.items()
        if not rests[name]
        or rests[name] in alone
        or any(rests[other] == rests[name] and found[other][0] != subset for other in found)
    }
