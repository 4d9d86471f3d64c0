"""Stage split: share the pictures out to train, validation and test. Reads `split` and `source`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.files import locked
from smallvision.core.params_file import read_params
from smallvision.core.process import run
from smallvision.data.sources.names import name_of
from smallvision.data.splitting.sharing import report, share_out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.split", description="Share the pictures out.")
    parser.add_argument("archive", type=Path, help="the archive that fetch wrote")
    parser.add_argument("pictures", type=Path, help="folder to write train, validation and test to")
    paths = parser.parse_args(arguments)
    params = read_params()
    with locked(paths.pictures):
        manifest = share_out(paths.archive, paths.pictures, params.split, name_of(params.source))
    report(manifest, paths.pictures / "manifest.json")


if __name__ == "__main__":
    run("split", main)
