"""`smallvision use SOURCE`: write a source of pictures into params.yaml, after checking that it can be understood.

So nobody has to quote a name such as `photos (1).zip` for `dvc exp run -S`.
"""

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from smallvision.commands.params_text import set_values
from smallvision.commands.source_summary import (
    add_reading_options,
    find_source,
    read_source,
    say_all,
    say_classes,
    say_reader,
    wrap,
)
from smallvision.core.errors import InputError
from smallvision.core.files import locked, write_text
from smallvision.core.params import Params, Split
from smallvision.core.params_file import Value, parse_params, read_params, to_yaml
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.files import open_files
from smallvision.data.sources.names import NAMED, is_address, name_of
from smallvision.data.splitting.pool import sort_rows

PARAMS = Path("params.yaml")
DOWNLOADS = Path("data/use")
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
COMPETITION = {"cat": 12_500, "dog": 12_500}  # pictures of Dogs vs. Cats, Kaggle's and Microsoft's


def name_source(given: str) -> str:
    """Return the value of `source` for what a person has typed.

    A path that leads out of the project becomes absolute, since DVC runs experiments in copies of the project.

    Raises:
        InputError: there is no such file or folder, or its name is not UTF-8, which params.yaml is.
    """
    if given in NAMED or is_address(given):
        return given
    try:
        path = find_source(given)
    except InputError as error:
        raise InputError(f"{error}, none of {', '.join(NAMED)}, and no http(s) address") from None
    try:
        given.encode()
    except UnicodeEncodeError:
        raise InputError(f"{given}: the name is not UTF-8; rename it") from None
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (`resolve` would follow links)
    return given if absolute.is_relative_to(Path.cwd()) else str(absolute)


@contextmanager
def local_copy(source: str) -> Iterator[Path]:
    """Yield the folder or archive that `source` names. What an address names is downloaded, and deleted afterwards."""
    if not is_address(source):
        yield Path(source).expanduser()
        return
    from smallvision.data.sources import url

    archive = DOWNLOADS / "archive.zip"
    with locked(archive):
        try:
            url.download(source, archive)
            yield archive
        finally:
            archive.unlink(missing_ok=True)


def count_named(source: str) -> Mapping[str, int]:
    """Return how many pictures of each class a source has that `source` calls by a name, such as `drawn`."""
    from smallvision.data.sources.drawn import DRAWN, DRAWN3

    return {"drawn": DRAWN, "drawn3": DRAWN3}.get(source, COMPETITION)


@dataclass(frozen=True)
class Understood:
    """What is known of a source before it is split.

    Attributes:
        sizes: how many pictures of each class are in no subset that is kept.
        given: the subsets that come with the pictures and are kept.
        classes: the parameter `classes`; None if it names a class that the source does not have.
        lines: what to print.
    """

    sizes: Mapping[str, int]
    given: Sequence[str]
    classes: Sequence[str] | None
    lines: Sequence[str]


def understand(params: Params) -> Understood:
    """Read the source that the parameters name, as `split` will.

    Raises:
        InputError: the source cannot be read or understood.
        NetworkError: it cannot be downloaded.
    """
    if params.source in NAMED:
        sizes = count_named(params.source)
        return Understood(sizes, [], keep_classes(params, sizes), [])
    with local_copy(params.source) as path, open_files(path, name_of(params.source)) as files:
        reading = read_source(files, params.labels, params.split.group, keep_subsets=params.split.subsets == "given")
        classes = keep_classes(params, reading.classes)
        pool = sort_rows(reading, classes)
        lines = [f"{files.name}: {say_reader(reading)}", say_classes(reading), *say_all(files, reading)]
    sizes = {label: sum(row.subset not in pool.given for row in rows) for label, rows in pool.labelled.items()}
    return Understood(sizes, pool.given, classes, lines)


def keep_classes(params: Params, known: Iterable[str]) -> Sequence[str] | None:
    """Return the parameter `classes`, unless it was meant for another source."""
    return params.classes if set(params.classes or ()) <= set(known) else None


def choose_sizes(split: Split, source: Understood) -> tuple[Mapping[str, float], list[str]]:
    """Return shares if there are too few pictures for the counts in `split`, otherwise nothing; and lines to print."""
    sizes, given = source.sizes, source.given
    least = min(sizes, key=sizes.__getitem__)
    made = [subset for subset in SUBSETS if subset not in given]
    lines = []
    if sizes[least] < len(made):
        lines = [f"too few pictures of {least}: have {sizes[least]}, need {len(made)}; add some, or set `classes`"]
    if split.by_share:
        return {}, lines
    needed = sum(1 if given and subset == "train" else split.counts[subset] for subset in made)
    if sizes[least] < needed:
        why = f"shares, because the counts need {needed} pictures of each class, and {least} has {sizes[least]}"
        return SHARES, [*lines, why]
    unused = 0 if given else sum(sizes.values()) - needed * len(sizes)
    if unused:
        lines = [f"the counts of `split` leave {unused} pictures out; shares (0.7, 0.15, 0.15) take all"]
    return {}, lines


def change(text: str, params: Params, values: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
    """Return the text of params.yaml with the values, and those values that it did not have before.

    Raises:
        ParameterError: a value is not valid.
    """
    new = {key: value for key, value in values.items() if attrgetter(key)(params) != value}
    text = set_values(text, new, PARAMS)
    parse_params(text, PARAMS)
    return text, new


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="smallvision use", description="Write a source into params.yaml.")
    parser.add_argument(
        "source", metavar="SOURCE", help=f"a folder or zip archive, its http(s) address, or {', '.join(NAMED)}"
    )
    add_reading_options(parser)
    chosen = parser.parse_args(arguments)
    params = read_params(PARAMS)
    content = PARAMS.read_bytes().decode()
    mark = "\ufeff" if content.startswith("\ufeff") else ""  # some editors begin UTF-8 with it
    values: dict[str, Value] = {
        "source": name_source(chosen.source),
        "labels": chosen.labels,
        "split.group": chosen.group,
    }
    text, _ = change(content.removeprefix(mark), params, values)
    source = understand(parse_params(text, PARAMS))
    sizes, more = choose_sizes(params.split, source)
    values |= {f"split.{subset}": size for subset, size in sizes.items()}
    if params.classes and source.classes is None:
        values["classes"] = None
    text, new = change(content.removeprefix(mark), params, values)
    write_text(PARAMS, mark + text)
    said = [*source.lines, *(f"{PARAMS}: {key}: {to_yaml(value)}" for key, value in new.items())]
    said += [] if new else [f"{PARAMS}: has it already"]
    for line in [*said, *more, "next: dvc repro"]:
        print("\n".join(wrap("use", line)))
