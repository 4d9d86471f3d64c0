"""Stage fetch: get the archive of pictures. Reads `source`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.errors import printable
from smallvision.core.files import locked, replacing
from smallvision.core.params_file import read_params
from smallvision.core.process import run
from smallvision.data.sources.fetching import fetch_archive
from smallvision.data.sources.names import name_of


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.fetch", description="Get the archive of pictures.")
    parser.add_argument("archive", type=Path, help="where to write it")
    paths = parser.parse_args(arguments)
    params = read_params()
    with locked(paths.archive), replacing(paths.archive) as part:
        contents = fetch_archive(params.source, part)
    for line in contents.lines(name_of(params.source)):
        print(printable(f"fetch: {line}"))


if __name__ == "__main__":
    run("fetch", main)
