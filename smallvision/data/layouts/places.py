"""Where pictures lie: which of their folders name a subset, and which are left to name a class."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from smallvision.data.layouts.words import GENERIC, is_annotation, is_unlabelled, subset_in, words_of

MASKS = "in a folder of masks or annotations"


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        path: its path.
        folders: the folders that may name its class, from the top.
        subset: the subset that another folder names, if any.
        beside: whether it lies beside the folders of the subsets, or in a folder that says that it has no label. It
            then has a label only if a folder of it is called like a class.
        left_out: why it takes no part, if it does not.
    """

    path: str
    folders: tuple[str, ...]
    subset: str | None = None
    beside: bool = False
    left_out: str | None = None


def places_of(paths: Sequence[str], *, literal: bool = False) -> list[Place]:
    """Return where pictures lie, and find the folders that name a subset, on any level of folders.

    The rule looks at all names on a level together, because `train` is a class among `plane` and `car`.

    Args:
        paths: the pictures.
        literal: whether a folder beside those of classes is a class whatever its name, as `labels: top` asks for.
    """
    places = [Place(path, PurePosixPath(path).parts[:-1]) for path in paths]
    depth = 0
    while any(len(place.folders) > depth for place in places if not place.beside):
        found = _take_out(places, depth, literal=literal)
        if found is None:
            depth += 1
        else:
            places = found
    return places


def _take_out(places: Sequence[Place], depth: int, *, literal: bool) -> list[Place] | None:
    """Take the names on one level of folders out if they are those of subsets; None: they are not."""
    below: dict[str, set[str]] = defaultdict(set)
    for place in places:
        if len(place.folders) > depth and not place.beside:
            below[place.folders[depth]].update(place.folders[depth + 1 : depth + 2])
    subsets = _subsets_among(below)
    unlabelled = {name for name in below if is_unlabelled(name) and len(below) > 1 and not literal}
    names, others = set(subsets), below.keys() - subsets.keys() - unlabelled
    inside = set().union(*(below[name] for name in names))
    alike = {name for name in others if below[name] & inside}
    if not names:
        taken: Collection[str] = ()
    elif len(set(subsets.values())) > 1 or not others or alike or (len(inside) > 1 and not _any_inside(below, others)):
        taken = names | others
    elif inside & others:  # cat/, dog/ and test/cat/, test/dog/
        taken = names
    elif inside or literal or set(subsets.values()) == {"train"}:  # a class may be called so: train/, plane/ and car/
        taken = ()
    else:  # pictures in test/ beside cat/ and dog/
        taken, unlabelled, subsets = names, unlabelled | names, {}
    if not taken and not unlabelled:
        return None
    return [
        _without(place, depth, subsets, taken, unlabelled | ({*others} - alike if others & {*taken} else set()))
        for place in places
    ]


def _any_inside(below: dict[str, set[str]], names: Collection[str]) -> bool:
    return any(below[name] for name in names)


def _subsets_among(names: Collection[str]) -> dict[str, str]:
    """Return those names of a level that are a subset's, with the subset.

    Other words in a name are no hindrance if they mean nothing (`test_images`), or if another name has the same ones
    (`flowers_train` and `flowers_test`, or `rps` and `rps-test-set`).
    """
    found = {name: pair for name in names if (pair := subset_in(name))}
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
    place: Place, depth: int, subsets: dict[str, str], taken: Collection[str], beside: Collection[str]
) -> Place:
    """Take one folder out of a place, and note what it said."""
    if len(place.folders) <= depth or place.beside:
        return place
    name = place.folders[depth]
    if name not in taken and name not in beside:
        return place
    return replace(
        place,
        folders=place.folders[:depth] + place.folders[depth + 1 :],
        subset=subsets.get(name, place.subset),
        beside=name in beside,
        left_out=MASKS if name in beside and is_annotation(name) else None,
    )
