"""Decide whether tables, folders or the names of files give the labels, and refuse where two of them could."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from smallvision.core.errors import InputError, counted, listed
from smallvision.data.layouts.folders import FolderReading
from smallvision.data.layouts.names import cross_the_folders, read_names
from smallvision.data.layouts.table_labels import ELSEWHERE, TableReading
from smallvision.data.layouts.words import cannot_be_classes, words_of


@dataclass(frozen=True)
class Labels:
    """The labels that were decided on.

    Attributes:
        kind: what gives them.
        reader: the same for people, such as `the table labels.csv, column breed`.
        found: the label of each picture that has one.
        depth: the level of folders that is the classes, if folders give the labels.
        notes: lines for the owner of the pictures.
    """

    kind: Literal["table", "folders", "names"]
    reader: str
    found: Mapping[str, str]
    depth: int | None = None
    notes: Sequence[str] = ()


def decide_labels(
    name: str, pictures: Sequence[str], folders: FolderReading | None, tables: TableReading, labels: str
) -> Labels:
    """Decide what gives the labels.

    A table that labels pictures wins, because somebody wrote it for that purpose. Folders come next if their names are
    words. Folders that are called by numbers, dates or the like win only if the names of the files are no labels.

    Args:
        name: how messages call the source.
        pictures: all pictures that are no masks.
        folders: what folders say, if anything.
        tables: what tables say.
        labels: the parameter `labels`.

    Raises:
        InputError: the labels cannot be found, or two readings are equally good.
    """
    if labels in ELSEWHERE:
        return _as_asked(name, pictures, folders, labels)
    names = read_names(pictures)
    if tables.used:
        return _by_table(name, folders, names, tables, labels)
    if folders and folders.other is not None:
        parents = set(folders.parents().values())
        raise _two_readings(name, {"top": folders.classes(folders.depth), "parent": parents})
    if folders and names and (folders.are_words or not cannot_be_classes(folders.classes(folders.depth))):
        _refuse_crossing(name, folders, names)
    if folders and folders.are_words:
        return _by_folders(folders, folders.depth)
    if names:
        return _by_names(names)
    if tables.doubts:
        raise InputError(f"{name}: no labels: {tables.doubts[0]}")
    if folders:
        return _by_folders(folders, folders.depth)
    what = "no labels"
    if unused := tables.unread or tables.sheets:
        why = "names no pictures" if tables.unread else "is a spreadsheet, which is not read; save it as CSV"
        what = f"no labels, and {listed(unused, 3)} {why}"
    raise _no_labels(name, pictures, what)


def _as_asked(name: str, pictures: Sequence[str], folders: FolderReading | None, labels: str) -> Labels:
    """Take the labels from where the parameter says."""
    if labels == "name":
        if names := read_names(pictures, always=True):
            return _by_names(names)
        raise _no_labels(name, pictures, "labels: name: no file is called like cat.0.jpg, cat_0.jpg or cat (0).jpg")
    if not folders:
        raise _no_labels(name, pictures, f"labels: {labels}: no level of folders has more than one name")
    if labels == "top":
        return _by_folders(folders, folders.depth)
    return Labels("folders", "folders", folders.parents(), folders.lowest)


def _by_folders(folders: FolderReading, depth: int, notes: Sequence[str] = ()) -> Labels:
    return Labels("folders", "folders", folders.labels(depth), depth, notes)


def _by_names(names: Mapping[str, str]) -> Labels:
    return Labels("names", "names of the files", names)


def _by_table(
    name: str, folders: FolderReading | None, names: Mapping[str, str] | None, tables: TableReading, labels: str
) -> Labels:
    """Return the labels of tables, unless `labels` is `auto` and the folders or the names of the files say others.

    Folders that divide the pictures as the table does settle the question, whatever words both use. They are taken
    themselves if the table labels less than half of the pictures.

    Raises:
        InputError: table and folders, or table and names, divide the pictures in different ways.
    """
    by_table = Labels("table", tables.reader, tables.labels)
    if labels != "auto":
        return by_table
    for other, found in (("folders", folders.labels(folders.depth) if folders else {}), ("names", names or {})):
        if _share_pictures_out(found, tables.labels):
            note = f"{counted(len(found), 'picture')} without a row in a table have labels from {other}"
            return Labels("table", f"{tables.reader} and {other}", {**found, **tables.labels}, notes=[note])
    table, _ = tables.used[0]
    if names and cross_the_folders(names, tables.labels):
        raise _two_readings(name, {"name": set(names.values()), table: set(tables.labels.values())})
    if not (folders and folders.are_words):
        return by_table
    for depth in [folders.depth] if folders.other is None else [folders.depth, folders.other]:
        found = folders.labels(depth)
        if _agree(found, tables.labels):
            if not any(map(words_of, tables.labels.values())):
                return _by_folders(folders, depth, [f"{table} says in numbers what the folders say"])
            if 2 * len(tables.labels) >= len(found):
                return by_table
            note = f"{table} labels {len(tables.labels)} of {len(found)} pictures, as folders do"
            return _by_folders(folders, depth, [note])
    raise _two_readings(name, {"top": folders.classes(folders.depth), table: set(tables.labels.values())})


def _share_pictures_out(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether two readings have classes in common but no picture, as where only one subset comes with a table."""
    return bool(set(found.values()) & set(labels.values())) and not found.keys() & labels.keys()


def _agree(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether two readings divide the pictures that both label in the same way."""
    pairs = {(labels[path], label) for path, label in found.items() if path in labels}
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _refuse_crossing(name: str, folders: FolderReading, names: Mapping[str, str]) -> None:
    """Refuse folders that hold pictures of several names each, because both may be the labels."""
    found = folders.labels(folders.depth)
    if cross_the_folders(names, found):
        raise _two_readings(name, {"top": set(found.values()), "name": set(names.values())})


def _two_readings(name: str, readings: Mapping[str, set[str]]) -> InputError:
    shown = ", or ".join(f"{listed(classes)} (`labels: {key}`)" for key, classes in readings.items())
    return InputError(f"{name}: the classes may be {shown}; set `labels` in params.yaml to decide")


def _no_labels(name: str, pictures: Sequence[str], what: str) -> InputError:
    such_as = f" such as {listed(pictures[:2])}" if pictures else ""
    return InputError(
        f"{name}: {what}; expected class/picture.jpg, cat.0.jpg, or a table of files and labels; "
        f"found {counted(len(pictures), 'picture')}{such_as}"
    )
