"""`smallvision look SOURCE`: what a folder or an archive holds, before anything is copied or trained.

It reads labels, subsets and groups as `split` will, and draws a sheet of pictures of each class.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.commands.contact_sheets import draw_sheets
from smallvision.commands.source_summary import (
    add_reading_options,
    find_source,
    labelled,
    read_source,
    say_all,
    say_reader,
    table_of_classes,
    wrap,
)
from smallvision.data.layouts.rows import Reading
from smallvision.data.sources.files import SourceFiles, open_files


def describe(files: SourceFiles, reading: Reading) -> list[str]:
    """Return what is to be said about a source, in lines of less than 80 columns."""
    lines = [*wrap("look", f"{files.name}: {say_reader(reading)}"), *table_of_classes(reading)]
    return lines + [line for text in say_all(files, reading) for line in wrap("look", text)]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="smallvision look", description="What is in a folder or an archive?")
    parser.add_argument("source", metavar="SOURCE", help="a folder or a zip archive of pictures")
    add_reading_options(parser)
    parser.add_argument("--sheets", type=Path, default=Path("data/look"), help="folder; default: %(default)s")
    chosen = parser.parse_args(arguments)
    with open_files(find_source(chosen.source)) as files:
        reading = read_source(files, chosen.labels, chosen.group)
        print("\n".join(describe(files, reading)), flush=True)
        classes = {label: [row.path for row in rows] for label, rows in labelled(reading).items()}
        count, bad = draw_sheets(chosen.sheets, files, classes)
    if bad:
        path, reason = next(iter(bad.items()))
        print("\n".join(wrap("look", f"{len(bad)} of {count} pictures cannot be read: {path}: {reason}")))
    print("\n".join(wrap("look", f"{chosen.sheets}: a sheet of each class, {count} pictures")))
