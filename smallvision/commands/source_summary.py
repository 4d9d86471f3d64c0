"""What the readers understood of a source, as lines of less than 80 columns."""

import argparse
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from smallvision.core.errors import InputError, ParameterError, counted, in_words, printable, shorten
from smallvision.core.params_file import to_yaml
from smallvision.core.validators import as_group
from smallvision.data.layouts.reading import read_layout
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.files import SourceFiles, by_ending, group_by_reason
from smallvision.data.sources.names import NAMED, is_address
from smallvision.data.splitting.reasons import kind_of

WIDTH = 79
MAX_ROWS = 20  # classes in a table, at most; of more only the smallest and the largest are shown
NAME = 28  # letters of a class in a table

Counts = dict[str, Counter[str | None]]


def wrap(command: str, text: str) -> list[str]:
    """Return a text in lines that begin with the name of the command, or with two spaces."""
    return textwrap.wrap(
        printable(text), WIDTH, initial_indent=f"{command}: ", subsequent_indent="  ", break_on_hyphens=False
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to read a source."""
    parser.add_argument(
        "--labels", default="auto", help="auto, top, parent, name, a table or table:column; default: %(default)s"
    )
    parser.add_argument("--group", help="what belongs together: folder, a column, or a pattern with one (group)")


def find_source(name: str) -> Path:
    """Return the path of a folder or an archive on this machine.

    Raises:
        InputError: there is none.
    """
    try:
        path = Path(name).expanduser()
        found = path.exists()
    except (RuntimeError, OSError, ValueError) as error:  # an unknown ~user, a name that is too long, a NUL
        raise InputError(f"{name}: no path: {error}") from None
    if found:
        return path
    if name in NAMED or is_address(name):
        raise InputError(f"{name}: no folder or archive here; `dvc repro fetch` gets a source as data/raw/archive.zip")
    raise InputError(f"{name}: no such folder or archive")


def read_source(files: SourceFiles, labels: str, group: str | None, *, keep_subsets: bool = True) -> Reading:
    """Read the labels of a source for a command that has an option `--labels`.

    Raises:
        ParameterError: `group` is no valid pattern.
        InputError: the labels cannot be found, or two readings are equally good.
    """
    try:
        as_group(group)
    except ValueError as error:
        raise ParameterError(f"--group: {error}") from None
    try:
        return read_layout(files, labels, group, keep_subsets=keep_subsets)
    except InputError as error:
        option = ", or give --labels here" if "`labels: " in str(error) else ""
        raise InputError(f"{error}{option}") from None


def labelled(reading: Reading) -> dict[str, list[Row]]:
    """Return for each class, in sorted order, its pictures."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in reading.rows:
        if row.label is not None and row.left_out is None:
            found[row.label].append(row)
    return {label: found[label] for label in sorted(found)}


def count_subsets(reading: Reading) -> Counter[str | None]:
    """Return how many labelled pictures each subset has; None stands for no subset."""
    return Counter(row.subset for rows in labelled(reading).values() for row in rows)


def say_reader(reading: Reading) -> str:
    """Return how many pictures of how many classes there are, and where their labels stand, in a few words."""
    classes = labelled(reading)
    count = counted(sum(map(len, classes.values())), "labelled picture")
    return f"{count} of {counted(len(classes), 'class')}; labels from {reading.reader}"


def say_classes(reading: Reading) -> str:
    """Return how many pictures each class has; of many classes, the smallest and the largest."""
    sizes = {label: len(rows) for label, rows in labelled(reading).items()}
    if len(sizes) <= MAX_ROWS:
        return ", ".join(f"{label} {size}" for label, size in sizes.items())
    by_size = sorted(sizes, key=sizes.__getitem__)
    return f"from {by_size[0]} {sizes[by_size[0]]} to {by_size[-1]} {sizes[by_size[-1]]}"


def table_of_classes(reading: Reading) -> list[str]:
    """Return a header and a row for each class: its pictures, by subset if some come with the pictures."""
    classes = labelled(reading)
    subsets: list[str | None] = [subset for subset in (*SUBSETS, None) if subset in count_subsets(reading)]
    if subsets == [None]:
        subsets = []
    shown, rest = list(classes), 0
    if len(classes) > MAX_ROWS:
        by_size = sorted(classes, key=lambda label: len(classes[label]))
        shown, rest = [*by_size[: MAX_ROWS // 4], *by_size[-MAX_ROWS // 4 :]], len(classes) - MAX_ROWS // 2
    lines = [f"{'class':{NAME}} {'pictures':>8}" + "".join(f" {subset or 'no subset':>10}" for subset in subsets)]
    for place, label in enumerate(shown):
        if rest and place == len(shown) // 2:
            lines.append(f"… {rest} more classes …")
        counts = Counter(row.subset for row in classes[label])
        cells = "".join(f" {counts[subset]:10}" for subset in subsets)
        lines.append(f"{shorten(label, NAME):{NAME}} {len(classes[label]):8}{cells}")
    return lines


def _say_subsets(reading: Reading) -> list[str]:
    """Say which subsets come with the pictures, and what the split will do about it."""
    counts = count_subsets(reading)
    given = [f"{subset} {counts[subset]}" for subset in SUBSETS if subset in counts]
    if not given:
        return []
    missing = [subset for subset in ("validation", "test") if subset not in counts]
    carved = f"; {in_words(missing)} will be taken from the rest" if missing else ""
    return [f"subsets that come with the pictures: {', '.join(given)}{carved}"]


def _say_groups(reading: Reading) -> list[str]:
    """Say which groups were asked for, or else what looks like groups and how to keep those together."""
    groups = Counter(row.group for rows in labelled(reading).values() for row in rows if row.group is not None)
    if groups:
        return [f"groups: {_sizes(groups)}; {counted(sum(groups.values()), 'picture')} in them"]
    if reading.grouping:
        return [
            f"the pictures look grouped (groups: {_sizes(Counter(reading.grouping.groups.values()))}); "
            f"`split.group: {to_yaml(reading.grouping.key)}` keeps each group in one subset"
        ]
    return []


def _sizes(groups: Mapping[str, int]) -> str:
    largest = max(groups, key=groups.__getitem__)
    return f"{len(groups)}, the largest {shorten(largest, NAME)} with {counted(groups[largest], 'picture')}"


def say_left_out(files: SourceFiles, reading: Reading) -> list[str]:
    """Say how many pictures have no label, and which files take no part."""
    unlabelled = [row.path for row in reading.rows if row.label is None and row.left_out is None]
    lines = [f"unlabelled: {counted(len(unlabelled), 'picture')}, such as {unlabelled[0]}"] if unlabelled else []
    reasons = ((path, kind_of(reason)) for path, reason in _reasons(files, reading))
    lines += [
        f"left out, {kind}: {len(paths)} ({by_ending(paths)})" for kind, paths in group_by_reason(reasons).items()
    ]
    return [*lines, f"other files: {len(files.others)} ({by_ending(files.others)})"] if files.others else lines


def _reasons(files: SourceFiles, reading: Reading) -> Iterable[tuple[str, str]]:
    yield from ((one.path, one.reason) for one in files.left_out)
    yield from ((row.path, row.left_out) for row in reading.rows if row.left_out is not None)


def say_all(files: SourceFiles, reading: Reading) -> Sequence[str]:
    """Return all that is to be said beside the classes, a text each."""
    return [
        *_say_subsets(reading),
        *_say_groups(reading),
        *say_left_out(files, reading),
        *files.notes,
        *reading.notes,
    ]
