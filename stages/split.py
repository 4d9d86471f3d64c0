"""Stage split: share the pictures out to train, validation and test.

Reads `source`, `labels`, `classes` and `split`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.files import locked
from smallvision.core.params_file import read_params
from smallvision.core.process import run
from smallvision.data.sources.names import name_of
from smallvision.data.splitting.report import report
from smallvision.data.splitting.sharing import share_out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.split", description="Share the pictures out.")
    parser.add_argument("archive", type=Path, help="the archive that fetch wrote")
    parser.add_argument("pictures", type=Path, help="folder to write train, validation, test and unlabelled to")
    paths = parser.parse_args(arguments)
    params = read_params()
    source = name_of(params.source)
    with locked(paths.pictures):
        manifest, reading = share_out(
            paths.archive, paths.pictures, params.split, source, params.labels, params.classes
        )
    report(manifest, reading, params.split, paths.pictures / "manifest.json")


if __name__ == "__main__":
    run("split", main)
