"""Read labels from the names of folders: find the level of folders that is the classes."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from smallvision.core.errors import listed
from smallvision.data.layouts.places import Place
from smallvision.data.layouts.words import (
    cannot_be_classes,
    could_be_classes,
    is_annotation,
    is_container,
    is_date,
    is_generic,
    is_magnification,
    is_unlabelled,
    series_among,
)


@dataclass(frozen=True)
class FolderReading:
    """What folders say.

    Attributes:
        places: where each picture lies. Folders that say nothing (`images`) and those that wrap all are taken out.
        depth: which of a place's folders is its class.
        other: a lower level that could be the classes as well, if there is one.
        lowest: the lowest level that could be the classes: words, or numbers that come back, or else any names.
        notes: lines for the owner of the pictures.
    """

    places: Sequence[Place]
    depth: int
    other: int | None
    lowest: int
    notes: Sequence[str]

    @property
    def are_words(self) -> bool:
        """Whether the names of the classes are words, and neither numbers nor counted names such as `patient00`."""
        return len(could_be_classes(self.classes(self.depth))) > 1

    def classes(self, depth: int) -> set[str]:
        """Return the names on a level of folders."""
        return _names(self.places, depth)

    def parents(self) -> dict[str, str]:
        """Return for each picture its innermost folder that may be a class; that is its label with `labels: parent`."""
        deepest = max((len(place.folders) for place in self.places), default=0)
        series = {depth: series_among(self.classes(depth)) for depth in range(deepest)}

        def may_be(depth: int, name: str) -> bool:
            return not (is_date(name) or is_magnification(name) or is_generic(name) or name in series[depth])

        found = {}
        for place in self.places:
            names = list(enumerate(place.folders))
            if names and not place.beside:
                inner = next((name for depth, name in reversed(names) if may_be(depth, name)), place.folders[-1])
                found[place.path] = inner
        return found

    def labels(self, depth: int) -> dict[str, str]:
        """Return the label of each picture that has one if `depth` is the level of the classes."""
        classes = self.classes(depth)
        found = {}
        for place in self.places:
            if place.beside:
                named = [name for name in place.folders if name in classes]
                found.update({place.path: named[0]} if named else {})
            elif len(place.folders) > depth:
                found[place.path] = place.folders[depth]
        return found


def read_folders(places: Sequence[Place], *, literal: bool = False) -> FolderReading | None:
    """Find the level of folders that is the classes.

    It is the highest level with more than one name, as torchvision, Keras and fastai have it. Only if its names cannot
    be classes (years, dates, magnifications, or counted names such as `patient00`), and a few words come back below
    them, it is the level of those words.

    Args:
        places: where the pictures lie, without the folders of subsets.
        literal: whether a folder beside those of classes is a class whatever its name.

    Returns:
        What the folders say; None if no level has more than one name.
    """
    places, notes = _without_containers(places, literal=literal)
    deepest = max((len(place.folders) for place in places), default=0)
    levels = [depth for depth in range(deepest) if len(_names(places, depth)) > 1]
    if not levels:
        return None
    words = [depth for depth in levels if len(could_be_classes(_names(places, depth))) > 1]
    top = levels[0]
    if words and cannot_be_classes(_names(places, top)) and _is_shared(places, top, words[0]):
        top = words[0]
    # Without words, numbers may be the classes if they come back below other numbers, as in 8863/0, 8863/1 and 8914/0.
    numbers = [
        depth
        for depth in levels
        if not cannot_be_classes(_names(places, depth)) and depth > top and _is_shared(places, top, depth)
    ]
    # cat/cat/ and dog/dog/ say the same twice.
    again = {depth for depth in words if _say_the_same(places, top, depth)}
    lower = [depth for depth in words or numbers if depth > top and depth not in again]
    lowest = (lower or numbers or levels)[-1]
    return FolderReading(places, top, lower[-1] if lower else None, lowest, notes)


def _names(places: Sequence[Place], depth: int) -> set[str]:
    return {place.folders[depth] for place in places if len(place.folders) > depth and not place.beside}


def _say_the_same(places: Sequence[Place], top: int, below: int) -> bool:
    return all(place.folders[top] == place.folders[below] for place in places if len(place.folders) > below)


def _is_shared(places: Sequence[Place], top: int, below: int) -> bool:
    """Tell whether most names on a lower level come back below several names of a higher one, as classes do."""
    above: dict[str, set[str]] = defaultdict(set)
    for place in places:
        if len(place.folders) > below and not place.beside:
            above[place.folders[below]].add(place.folders[top])
    several = sum(len(tops) > 1 for tops in above.values())
    return several > 1 and 2 * several >= len(above)


def _without_containers(places: Sequence[Place], *, literal: bool) -> tuple[list[Place], list[str]]:
    """Take out the levels that cannot be classes: with one name only, or only names that say nothing (`images`).

    On the other levels, a folder that says that it has no labels (`unlabelled`) is set aside. So is one called like a
    container (`images`) that lies beside two or more other names and holds no folders: people keep there what they have
    not sorted yet.

    Args:
        places: where the pictures lie.
        literal: whether such a folder is a class all the same.

    Returns:
        The places, and notes about the folders that were set aside.
    """
    places, notes, depth = list(places), [], 0
    while names := _names(places, depth):
        vague = {name for name in names if is_generic(name) or is_annotation(name)}
        # One name below that of the class is no level of classes, unless other classes end there: a/cat/ and b/c/dog/.
        alone = len(names) == 1 and (depth == 0 or all(len(place.folders) != depth for place in places))
        if alone or names == vague:
            counted = series_among(names) if depth else set()
            places = [_without_container(place, depth, counted) for place in places]
            continue
        loose = {name for name in names if is_container(name)} - {
            place.folders[depth] for place in places if len(place.folders) > depth + 1
        }
        unlabelled = {name for name in names if is_unlabelled(name)} | (loose if len(names - vague) > 1 else set())
        if unlabelled and not literal:
            notes.append(
                f"{listed(unlabelled)}: no class by its name, beside {listed(names - unlabelled, 3)}; its pictures are "
                "unlabelled (`labels: top` makes it a class)"
            )
            places = [_set_aside(place, depth, unlabelled) for place in places]
        depth += 1
    return places, notes


def _without_container(place: Place, depth: int, groups: Collection[str]) -> Place:
    """Take one folder out of a place, and keep its name if it may be that of a group."""
    if len(place.folders) <= depth or place.beside:
        return place
    name = place.folders[depth]
    return replace(place.without(depth), groups=(*place.groups, *([name] if name in groups else [])))


def _set_aside(place: Place, depth: int, names: Collection[str]) -> Place:
    return replace(place, beside=True) if place.folders[depth : depth + 1] and place.folders[depth] in names else place
