"""Splits of small archives, and pictures that need no file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smallvision.core.params import Split
from smallvision.data.layouts.rows import Row
from smallvision.data.pictures.manifest import Manifest
from smallvision.data.splitting.checking import GoodPicture
from smallvision.data.splitting.duplicates import Appearance
from smallvision.data.splitting.sharing import share_out
from tests.conftest import write_zip

SIZES = {"train": 4, "validation": 2, "test": 2}
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
APPEARANCE = Appearance(np.zeros((2, 4), np.uint64), np.zeros((8, 8, 3), np.float32))


def run_split(
    folder: Path,
    members: Mapping[str, bytes],
    classes: Sequence[str] | None = None,
    source: str = "pictures.zip",
    **wanted: object,
) -> Manifest:
    """Share the members of an archive out to `pictures` in `folder`; `wanted` replaces values of `split`."""
    archive = write_zip(folder / "archive.zip", dict(members))
    return share_out(archive, folder / "pictures", split_of(**wanted), source, classes=classes)[0]


def split_of(**wanted: object) -> Split:
    return Split(**{**SIZES, "max_rejected": 0.5, **wanted})


def names(manifest: Manifest, subset: str, label: str) -> list[str]:
    return [entry.name for entry in manifest.subset(subset) if entry.label == label]


def sources(manifest: Manifest, subset: str) -> set[str]:
    return {entry.source for entry in manifest.subset(subset)}


def written(folder: Path) -> list[str]:
    """The files below `pictures`."""
    return sorted(path.relative_to(folder / "pictures").as_posix() for path in (folder / "pictures").rglob("*.*"))


def make_goods(rows: Sequence[Row]) -> list[GoodPicture]:
    return [GoodPicture(row, "", "JPEG", APPEARANCE) for row in rows]
