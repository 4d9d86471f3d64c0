"""Which pictures belong together: of one patient, one scene, one burst."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import regex

from smallvision.core.errors import ParameterError
from smallvision.core.params_file import no_such
from smallvision.data.layouts.folders import FolderReading
from smallvision.data.layouts.names import COUNTED, stem_of
from smallvision.data.layouts.rows import Grouping
from smallvision.data.layouts.words import is_camera, is_date, is_magnification, subset_in

MAX_SECONDS = 20  # for the search for a pattern in all paths, because some patterns would never end
_STEMS = f"{COUNTED}$"  # the value of `split.group` that keeps the files of one stem together


def folder_groups(folders: FolderReading | None, depth: int | None) -> dict[str, str]:
    """Return for each picture a folder besides that of its class, which is what `split.group: folder` means.

    Of several levels it is the highest, as a patient's folder may hold one for each visit. Years and magnifications
    count only if there is nothing else, because a patient may have pictures of several.

    Args:
        folders: what folders say.
        depth: the level of the classes, or None if labels come from elsewhere.
    """
    if not folders:
        return {}
    deepest = max((len(place.folders) for place in folders.places), default=0)
    levels = [level for level in range(deepest) if level != depth]
    telling = [
        level for level in levels if not all(is_date(name) or is_magnification(name) for name in folders.classes(level))
    ]
    found = {}
    for place in folders.places:
        names = [place.folders[level] for level in telling or levels if level < len(place.folders)]
        if names := names or list(place.groups):
            found[place.path] = names[0]
    return found


def group_pictures(
    key: str, paths: Sequence[str], folders: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the group of each picture that has one.

    Args:
        key: the value of `split.group`: `folder`, a pattern with one group in parentheses, or a column.
        paths: all pictures.
        folders: what `folder_groups` returns.
        columns: for each column of a table, the value for each picture.

    Raises:
        ParameterError: the source has no such column or folders, or no path fits the pattern.
    """
    if key in columns:
        return dict(columns[key])
    if key == "folder":
        if not folders:
            raise ParameterError(
                "params.yaml: split.group: folder: there are none but those of classes and subsets; set it to null"
            )
        return dict(folders)
    if "(" in key:
        groups = _match(key, paths)
        if not groups:
            raise ParameterError(f"params.yaml: split.group: {key}: finds nothing in any path, such as {paths[0]}")
        return groups
    raise ParameterError(
        f"params.yaml: split.group: {no_such(key, [*columns, 'folder'])} (a column, folder, or a pattern with one "
        "group in parentheses)"
    )


def _match(pattern: str, paths: Sequence[str]) -> dict[str, str]:
    """Return what a pattern finds in each path."""
    groups, until = {}, time.monotonic() + MAX_SECONDS
    try:
        compiled = regex.compile(pattern)
        for path in paths:
            found = compiled.search(path, timeout=max(until - time.monotonic(), 0.001))
            if found and found[1]:
                groups[path] = str(found[1])
    except TimeoutError:
        raise ParameterError(
            f"params.yaml: split.group: {pattern}: takes longer than {MAX_SECONDS} s; expected a simpler pattern"
        ) from None
    except regex.error as error:
        raise ParameterError(f"params.yaml: split.group: {pattern}: no valid pattern: {error}") from None
    return groups


def suggest_groups(
    labels: Mapping[str, str], folders: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]
) -> Grouping | None:
    """Return what looks like groups of labelled pictures: a column, folders besides the class, or stems of names."""
    for name, groups in columns.items():
        if _looks_grouped(groups, labels):
            return Grouping(name, dict(groups))
    if _looks_grouped(folders, labels):
        return Grouping("folder", dict(folders))
    stems = {path: stem for path in labels if (stem := stem_of(path)) and _may_group(stem)}
    stems = {path: stem for path, stem in stems.items() if stem.casefold() != labels[path].casefold()}
    return Grouping(_STEMS, stems) if _looks_grouped(stems, labels) else None


def _may_group(stem: str) -> bool:
    return not (is_camera(stem) or is_date(stem) or subset_in(stem))


def _looks_grouped(groups: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether most labelled pictures are in a group of several, and most classes have a group for each subset."""
    found = {path: groups[path] for path in labels if path in groups}
    sizes = Counter(found.values())
    of_class: dict[str, set[str]] = defaultdict(set)
    for path, group in found.items():
        of_class[labels[path]].add(group)
    together = sum(size for size in sizes.values() if size > 1)
    enough = sum(len(names) > 2 for names in of_class.values())
    return 2 * together > len(labels) and 2 * enough > len({*labels.values()})
