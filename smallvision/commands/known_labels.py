"""The labels of pictures, for a model whose classes are known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from smallvision.commands.source_summary import labelled, read_source
from smallvision.core.errors import InputError, listed
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.layouts.words import folded
from smallvision.data.sources.files import SourceFiles


def read_known(files: SourceFiles, labels: str, classes: Sequence[str]) -> tuple[Reading, list[Row], Counter[str]]:
    """Read a source, and find the pictures whose class a model knows.

    If no label is one of the model's classes, or `labels` is `auto` and the layout leaves two readings open, folders
    that are called like a class are taken. That settles both questions, and it also reads a folder of one class.

    Args:
        files: the open source.
        labels: the parameter `labels`.
        classes: the names of the model's classes.

    Returns:
        What the source holds; the pictures whose class the model knows, each with its label as the model has it; and
        how many pictures there are of each other class.

    Raises:
        InputError: the labels cannot be found, or the model knows none of them.
    """
    names = {folded(name): name for name in classes}
    error, unknown = None, Counter[str]()
    try:
        reading = read_source(files, labels, None)
        rows, unknown = _match(reading, names)
        if rows:
            return reading, rows, unknown
    except InputError as caught:
        error = caught
    if labels == "auto" and (found := _read_folders(files, names)):
        return found, *_match(found, names)
    raise error or InputError(
        f"{files.name}: none of its classes is one of the model's; it has {listed(unknown)}, the model knows "
        f"{listed(classes)}"
    )


def _match(reading: Reading, names: dict[str, str]) -> tuple[list[Row], Counter[str]]:
    known, unknown = [], Counter[str]()
    for label, rows in labelled(reading).items():
        if name := names.get(folded(label)):
            known += [replace(row, label=name) for row in rows]
        else:
            unknown[label] += len(rows)
    return known, unknown


def _read_folders(files: SourceFiles, names: dict[str, str]) -> Reading | None:
    rows = []
    for path in files.pictures:
        found = [names[folded(part)] for part in PurePosixPath(path).parts[:-1] if folded(part) in names]
        rows.append(Row(path, found[0] if len(set(found)) == 1 else None))
    if all(row.label is None for row in rows):
        return None
    return Reading("folders that are called like the model's classes", books=False, rows=rows, notes=[], grouping=None)
