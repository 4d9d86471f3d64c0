"""Splits of small archives."""

from pathlib import Path

from smallvision.core.params import Split
from smallvision.data.pictures.manifest import Manifest
from smallvision.data.splitting.sharing import share_out
from tests.conftest import write_zip

SIZES = {"train": 4, "validation": 2, "test": 2}
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def run_split(folder: Path, members: dict[str, bytes], **wanted: float) -> Manifest:
    """Share the members of an archive out to `pictures` in `folder`; `wanted` replaces sizes and limits."""
    split = Split(**{**SIZES, "max_rejected": 0.5, **wanted})
    return share_out(write_zip(folder / "archive.zip", members), folder / "pictures", split, "drawn")


def names(manifest: Manifest, subset: str, label: str) -> list[str]:
    return [entry.name for entry in manifest.subset(subset) if entry.label == label]


def written(folder: Path) -> list[str]:
    """The files below `pictures`."""
    return sorted(path.relative_to(folder / "pictures").as_posix() for path in (folder / "pictures").rglob("*.*"))
