"""Read what the files of a source mean: the one table of pictures that everything else works on."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from smallvision.core.errors import InputError, shorten
from smallvision.data.layouts.folders import FolderReading, read_folders
from smallvision.data.layouts.groups import folder_groups, group_pictures, suggest_groups
from smallvision.data.layouts.names import are_the_books, cross_the_folders, read_names
from smallvision.data.layouts.places import MASKS, Place, find_masks, places_of
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.layouts.table_labels import ELSEWHERE, TableReading, read_tables
from smallvision.data.layouts.words import cannot_be_classes, is_leftover, listed, subset_in
from smallvision.data.sources.files import SourceFiles

MAX_SHOWN = 40  # characters of a name in a message
MAX_CLASS_NAME = 200  # bytes; a class becomes a folder, and file systems allow 255


@dataclass(frozen=True)
class _Labels:
    """The labels that were decided on, where they come from, and which level of folders they are, if any."""

    reader: str
    found: Mapping[str, str]
    depth: int | None = None


def read_layout(files: SourceFiles, labels: str = "auto", group: str | None = None, subsets: str = "given") -> Reading:
    """Read the label, the subset and the group of every picture of a source.

    Args:
        files: the open source.
        labels: the parameter `labels`: where labels come from. `auto` takes a table that fits, otherwise the folders,
            otherwise the names of the files.
        group: the parameter `split.group`.
        subsets: the parameter `split.subsets`: `given` keeps the subsets that come with the pictures, `new` does not.

    Raises:
        InputError: the labels cannot be found, or two readings are equally good; the message then names the classes of
            both, and the line of params.yaml that decides.
    """
    order = {path: number for number, path in enumerate(files.pictures)}
    masks = find_masks(files.pictures)
    places = places_of([path for path in files.pictures if path not in masks], labels)
    tables = read_tables(files, dict.fromkeys(masks) | {place.path: place.subset for place in places}, labels, group)
    if masks & tables.labels.keys():  # a table gives them labels, so they are pictures like all others
        masks -= tables.labels.keys()
        places = places_of([path for path in files.pictures if path not in masks], labels)
    pictures = [place.path for place in places]
    folders = read_folders(places, literal=labels == "top")
    chosen = _decide(files.name, pictures, folders, tables, labels)
    _refuse_confusing(files.name, chosen.found)
    around = folder_groups(folders, chosen.depth)
    groups = group_pictures(group, pictures, around, tables.groups) if group else {}
    rows = [
        Row(
            path=place.path,
            label=chosen.found.get(place.path),
            subset=(tables.subsets.get(place.path) or place.subset) if subsets == "given" else None,
            group=groups.get(place.path),
            left_out=tables.left_out.get(place.path),
        )
        for place in places
    ]
    rows += [Row(path, label=None, left_out=MASKS) for path in masks]
    rows.sort(key=lambda row: order[row.path])
    return Reading(
        reader=chosen.reader,
        books=_is_the_books(places, chosen),
        rows=rows,
        notes=[*_notes(folders, tables, chosen), *_alone(groups, chosen.found), *_in_no_subset(rows)],
        grouping=None if group else suggest_groups(chosen.found, around, tables.groups),
    )


def _notes(folders: FolderReading | None, tables: TableReading, chosen: _Labels) -> list[str]:
    """Return what the owner of the pictures should read."""
    unused = [f"not used: {doubt}" for doubt in tables.doubts]
    if tables.unread:
        unused.append(f"not used: {listed(tables.unread, 3)}: no column names a picture")
    if tables.sheets:
        unused.append(f"not used: {listed(tables.sheets, 3)}: spreadsheets are not read; save a table as CSV")
    notes = [*tables.notes, *unused, *(folders.notes if folders and chosen.depth is not None else [])]
    classes = set(chosen.found.values())
    if chosen.depth is not None and cannot_be_classes(classes):
        notes.append(f"{listed(classes, 3)} are the classes; if they are none, see `labels` in params.yaml")
    if chosen.depth is not None:
        like_subsets = [name for name in sorted(classes) if subset_in(name)]
        notes += [f"{name}: a class by its folder, although that is called like a subset" for name in like_subsets]
    notes += [
        f"{name}: a class by its name; to leave it out, list the others in `classes`"
        for name in sorted(classes)
        if is_leftover(name)
    ]
    return notes


def _in_no_subset(rows: Sequence[Row]) -> list[str]:
    """Say which labelled pictures are in no subset, if others are in one that is not trained on."""
    used = [row for row in rows if row.label is not None and row.left_out is None]
    if not {"validation", "test"} & {row.subset for row in used}:
        return []
    places = sorted({str(PurePosixPath(row.path).parent) for row in used if row.subset is None})
    count = sum(row.subset is None for row in used)
    return [f"{count} labelled pictures in no subset count as training ones: {listed(places, 2)}"] if count else []


def _alone(groups: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    """Say how many labelled pictures are in no group, if groups were asked for."""
    without = len(labels.keys() - groups.keys())
    told = f"`split.group` gives {without} of {len(labels)} labelled pictures no group; each of them stands alone"
    return [told] if groups and without else []


def _decide(
    name: str, pictures: Sequence[str], folders: FolderReading | None, tables: TableReading, labels: str
) -> _Labels:
    """Decide where labels come from."""
    if labels in ELSEWHERE:
        return _as_asked(name, pictures, folders, labels)
    names = read_names(pictures)
    if tables.names:
        return _by_table(name, folders, names if labels == "auto" else None, tables, labels)
    if folders and (folders.other is not None or folders.plain):
        return _sure_folders(name, folders, names)
    if names:
        if folders and not cannot_be_classes(folders.classes(folders.depth)):
            _refuse_crossing(name, folders, names)
        return _by_names(names)
    if tables.doubts:
        raise InputError(f"{name}: no labels: {tables.doubts[0]}")
    if (tables.unread or tables.sheets) and not folders:
        why = "names no pictures" if tables.unread else "is a spreadsheet, which is not read; save it as CSV"
        raise _no_labels(name, pictures, f"no labels, and {listed(tables.unread or tables.sheets, 3)} {why}")
    if not folders:
        raise _no_labels(name, pictures, "no labels")
    return _by_folders(folders, folders.depth)


def _as_asked(name: str, pictures: Sequence[str], folders: FolderReading | None, labels: str) -> _Labels:
    """Take the labels from where the parameter says."""
    if labels == "name":
        if names := read_names(pictures, always=True):
            return _by_names(names)
        raise _no_labels(name, pictures, "labels: name: no file is called like cat.0.jpg, cat_0.jpg or cat (0).jpg")
    if not folders:
        raise _no_labels(name, pictures, f"labels: {labels}: no level of folders has more than one name")
    return _by_folders(folders, folders.depth if labels == "top" else folders.lowest)


def _by_folders(folders: FolderReading, depth: int) -> _Labels:
    return _Labels("folders", folders.labels(depth), depth)


def _by_names(names: Mapping[str, str]) -> _Labels:
    return _Labels("names of the files", names)


def _sure_folders(name: str, folders: FolderReading, names: Mapping[str, str] | None) -> _Labels:
    """Return the labels that folders give, if neither another level nor the names of the files say something else."""
    if folders.other is not None:
        raise _two_readings(name, {"top": folders.classes(folders.depth), "parent": folders.classes(folders.other)})
    if names:
        _refuse_crossing(name, folders, names)
    return _by_folders(folders, folders.depth)


def _refuse_crossing(name: str, folders: FolderReading, names: Mapping[str, str]) -> None:
    """Refuse folders that hold pictures of several names each, as both may be the labels."""
    found = folders.labels(folders.depth)
    if cross_the_folders(dict(names), found):
        raise _two_readings(name, {"top": set(found.values()), "name": set(names.values())})


def _by_table(
    name: str, folders: FolderReading | None, names: Mapping[str, str] | None, tables: TableReading, labels: str
) -> _Labels:
    """Return the labels of tables, unless `labels` leaves open whether folders or names are meant, which say others."""
    table = _table_of(tables)
    if names and cross_the_folders(dict(names), tables.labels):
        raise _two_readings(name, {"name": set(names.values()), table: set(tables.labels.values())})
    if labels == "auto" and folders and folders.plain:
        return _table_or_folders(name, folders, tables)
    return _Labels(f"the table {' and '.join(tables.names)}", tables.labels)


def _table_or_folders(name: str, folders: FolderReading, tables: TableReading) -> _Labels:
    """Return the labels of a table, or those of folders if it gives the same to only a few of the pictures.

    Raises:
        InputError: table and folders divide the pictures in different ways.
    """
    for depth in (folders.depth, *([folders.other] if folders.other is not None else [])):
        found = folders.labels(depth)
        if _agree(found, tables.labels):
            if 2 * len(tables.labels) < len(found):
                tables.notes.append(
                    f"{_table_of(tables)} labels {len(tables.labels)} of {len(found)} pictures, as folders do"
                )
                return _by_folders(folders, depth)
            return _Labels(f"the table {' and '.join(tables.names)}", tables.labels)
    readings = {"top": folders.classes(folders.depth), _table_of(tables): set(tables.labels.values())}
    raise _two_readings(name, readings)


def _agree(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether two readings divide the pictures that both label in the same way."""
    pairs = {(labels[path], label) for path, label in found.items() if path in labels}
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _table_of(tables: TableReading) -> str:
    return tables.names[0].split(", column ")[0]


def _two_readings(name: str, readings: Mapping[str, set[str]]) -> InputError:
    shown = ", or ".join(f"{listed(classes)} (`labels: {key}`)" for key, classes in readings.items())
    return InputError(f"{name}: the classes may be {shown}; set `labels` in params.yaml to decide")


def _no_labels(name: str, pictures: Sequence[str], what: str) -> InputError:
    such_as = f" such as {listed(pictures[:2])}" if pictures else ""
    return InputError(
        f"{name}: {what}; expected class/picture.jpg, cat.0.jpg, or a table of files and labels; "
        f"found {len(pictures)} picture{'s' if len(pictures) != 1 else ''}{such_as}"
    )


def _is_the_books(places: Sequence[Place], chosen: _Labels) -> bool:
    """Tell whether this is Dogs vs. Cats as Kaggle (`train/cat.0.jpg`) or Microsoft (`PetImages/Cat/0.jpg`) has it."""
    if chosen.depth is None:
        return chosen.reader == _by_names({}).reader and are_the_books(dict(chosen.found))
    return all(PurePosixPath(place.path).parts[:1] == ("PetImages",) for place in places)


def _refuse_confusing(name: str, labels: Mapping[str, str]) -> None:
    """Refuse classes that would be one folder on macOS or Windows, or that cannot be the name of a folder at all."""
    seen: dict[str, str] = {}
    for label in sorted(set(labels.values())):
        if re.search(r"[/\\\0-\x1f\x7f]", label) or label in (".", "..") or len(label.encode()) > MAX_CLASS_NAME:
            raise InputError(
                f"{name}: the class {shorten(ascii(label), MAX_SHOWN)} cannot be the name of a folder (/, \\, control "
                f"characters, more than {MAX_CLASS_NAME} bytes); rename it"
            )
        alike = unicodedata.normalize("NFC", label).casefold().strip(" .")
        if (other := seen.setdefault(alike, label)) != label:
            raise InputError(
                f"{name}: the classes {other!a} and {label!a} differ only by case, accent encoding or a last dot, "
                "and would be one folder on some systems; rename one, or put their pictures into one folder"
            )
