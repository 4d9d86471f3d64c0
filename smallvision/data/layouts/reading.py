"""Read what the files of a source mean: the one table of pictures that everything else works on."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from smallvision.core.errors import InputError, listed, shorten
from smallvision.data.layouts.deciding import Labels, decide_labels
from smallvision.data.layouts.folders import FolderReading, read_folders
from smallvision.data.layouts.groups import folder_groups, group_pictures, suggest_groups
from smallvision.data.layouts.names import are_the_books
from smallvision.data.layouts.places import MASKS, Place, find_masks, places_of
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.layouts.table_labels import TableReading, read_tables
from smallvision.data.layouts.words import cannot_be_classes, folded, is_leftover, subset_in
from smallvision.data.sources.files import SourceFiles, by_ending

MAX_SHOWN = 40  # characters of a name in a message
_COPY = re.compile(r"(.+?)( \(\d+\)| - (Copy|Kopie|copie|copia)( \(\d+\))?|_copy)")
MAX_CLASS_NAME = 200  # bytes; a class becomes a folder, and file systems allow 255


def read_layout(
    files: SourceFiles, labels: str = "auto", group: str | None = None, *, keep_subsets: bool = True
) -> Reading:
    """Read the label, the subset and the group of every picture of a source.

    Args:
        files: the open source.
        labels: the parameter `labels`: where labels come from. `auto` takes a table that fits, otherwise the folders,
            otherwise the names of the files.
        group: the parameter `split.group`.
        keep_subsets: whether subsets that come with the pictures are kept; otherwise no row has a subset.

    Raises:
        ParameterError: `labels` names a table or a column that is not there, or `group` finds nothing.
        InputError: the labels cannot be found, or two readings are equally good; the message then names the classes of
            both, and the line of params.yaml that decides.
    """
    masks = find_masks(files.pictures)
    places = places_of([path for path in files.pictures if path not in masks], labels)
    tables = read_tables(files, dict.fromkeys(masks) | {place.path: place.subset for place in places}, labels, group)
    if masks & tables.labels.keys():  # A table gives them labels, so they are pictures like all others.
        masks -= tables.labels.keys()
        places = places_of([path for path in files.pictures if path not in masks], labels)
    folders, pictures = read_folders(places, literal=labels == "top"), [place.path for place in places]
    chosen = decide_labels(files.name, pictures, folders, tables, labels)
    _refuse_confusing(files.name, chosen.found)
    around = folder_groups(folders, chosen.depth)
    groups = group_pictures(group, pictures, around, tables.groups) if group else {}
    subsets = {place.path: tables.subsets.get(place.path) or place.subset for place in places}
    foreign = _foreign(chosen, subsets)
    rows = [
        Row(
            path=path,
            label=None if path in masks or path in foreign else chosen.found.get(path),
            subset=subsets.get(path) if keep_subsets else None,
            group=groups.get(path),
            left_out=MASKS if path in masks else tables.left_out.get(path),
        )
        for path in files.pictures
    ]
    doubted = _doubted(chosen)
    unlabelled = _without_pictures(files, chosen) + _of_no_class(foreign)
    return Reading(
        reader=chosen.reader,
        books=_is_the_books(places, chosen),
        rows=rows,
        notes=[*_notes(folders, tables, chosen), *doubted, *_in_no_subset(rows), *unlabelled],
        grouping=None if group else suggest_groups(chosen.found, around, tables.groups),
        doubted=doubted,
    )


def _notes(folders: FolderReading | None, tables: TableReading, chosen: Labels) -> list[str]:
    """Return what the owner of the pictures should read about tables and folders."""
    notes = [*tables.notes, *chosen.notes, *(f"not used: {doubt}" for doubt in tables.doubts)]
    if tables.unread:
        notes.append(f"not used: {listed(tables.unread, 3)}: no column names a picture")
    if tables.sheets:
        notes.append(f"not used: {listed(tables.sheets, 3)}: spreadsheets are not read; save a table as CSV")
    if folders and chosen.kind == "folders":
        notes += folders.notes
        classes = set(chosen.found.values())
        if cannot_be_classes(classes):
            notes.append(f"{listed(classes, 3)} are the classes; if they are none, see `labels` in params.yaml")
    return notes


def _doubted(chosen: Labels) -> dict[str, str]:
    """Return a note for each class that may be none by its name, and the class that the note is about."""
    classes = sorted(set(chosen.found.values()))
    like_subsets = [name for name in classes if subset_in(name)] if chosen.kind == "folders" else []
    copies = {name: match[1] for name in classes if (match := _COPY.fullmatch(name)) and match[1] in classes}
    return (
        {f"{name}: a class by its name, though it looks like a copy of {of}": name for name, of in copies.items()}
        | {f"{name}: a class by its folder, although that is called like a subset": name for name in like_subsets}
        | {
            f"{name}: a class by its name; to leave it out, list the others in `classes`": name
            for name in classes
            if is_leftover(name)
        }
    )


def _foreign(chosen: Labels, subsets: Mapping[str, str | None]) -> set[str]:
    """Return the pictures of given subsets that share no class with those that are trained on.

    Some programs want the unlabelled test pictures in a folder within `test/`, which people call `unknown` or `all`.
    """
    classes: dict[str, set[str]] = defaultdict(set)
    for path, label in chosen.found.items():
        classes[subsets.get(path) or "train"].add(label)
    trained = classes.pop("train", set())
    if chosen.kind != "folders" or not trained:
        return set()
    foreign = {subset for subset, names in classes.items() if not names & trained}
    return {path for path in chosen.found if subsets.get(path) in foreign}


def _of_no_class(foreign: set[str]) -> list[str]:
    folders = listed({str(PurePosixPath(path).parent) for path in foreign}, 2)
    return [f"{folders}: not among the classes that are trained on, so its pictures are unlabelled"] if foreign else []


def _in_no_subset(rows: Sequence[Row]) -> list[str]:
    """Say which labelled pictures are in no subset, if others are in one that is not trained on."""
    used = [row for row in rows if row.label is not None and row.left_out is None]
    if not {"validation", "test"} & {row.subset for row in used}:
        return []
    places = sorted({str(PurePosixPath(row.path).parent) for row in used if row.subset is None})
    count = sum(row.subset is None for row in used)
    return [f"{count} labelled pictures in no subset count as training ones: {listed(places, 2)}"] if count else []


def _without_pictures(files: SourceFiles, chosen: Labels) -> list[str]:
    """Name the folders beside those of the classes in which no picture is: the owner may take them for classes."""
    if chosen.kind != "folders":
        return []
    parents = set()
    for path, label in chosen.found.items():
        folders = PurePosixPath(path).parts[:-1]
        if label in folders:
            parents.add(folders[: folders.index(label)])
    depths = {len(parent) for parent in parents}

    def beside(path: str) -> list[tuple[str, ...]]:
        folders = PurePosixPath(path).parts[:-1]
        return [folders[: depth + 1] for depth in depths if len(folders) > depth and folders[:depth] in parents]

    known = {folder for path in files.pictures for folder in beside(path)} if files.others else set()
    inside: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in files.others:
        for folder in beside(path):
            if folder not in known:
                inside[folder].append(path)
    return [
        f"{'/'.join(folder)}: no picture in it, only {by_ending(paths)}" for folder, paths in sorted(inside.items())
    ]


def _is_the_books(places: Sequence[Place], chosen: Labels) -> bool:
    """Tell whether this is Dogs vs. Cats as Kaggle (`train/cat.0.jpg`) or Microsoft (`PetImages/Cat/0.jpg`) has it."""
    if chosen.kind == "folders":
        return all(PurePosixPath(place.path).parts[:1] == ("PetImages",) for place in places)
    return chosen.kind == "names" and are_the_books(chosen.found)


def _refuse_confusing(name: str, labels: Mapping[str, str]) -> None:
    """Refuse classes that would be one folder on macOS or Windows, or that cannot be the name of a folder at all."""
    seen: dict[str, str] = {}
    for label in sorted(set(labels.values())):
        if re.search(r"[/\\\0]", label) or label in (".", "..") or len(label.encode()) > MAX_CLASS_NAME:
            raise InputError(
                f"{name}: the class {shorten(ascii(label), MAX_SHOWN)} cannot be the name of a folder (/, \\, NUL, "
                f"more than {MAX_CLASS_NAME} bytes); rename it"
            )
        alike = folded(label).strip(" .")
        if (other := seen.setdefault(alike, label)) != label:
            raise InputError(
                f"{name}: the classes {other!a} and {label!a} differ only by case, accent encoding or a last dot, "
                "and would be one folder on some systems; rename one, or put their pictures into one folder"
            )
