"""`data/pictures/manifest.json`: which picture went where, and which was rejected and why."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from smallvision.errors import InputError
from smallvision.files import write_json
from smallvision.pictures import to_input

SUBSETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """One picture: where it lies, what it shows, where it came from."""

    subset: str
    label: str
    name: str
    source: str
    sha256: str

    @property
    def path(self) -> str:
        """The path below the pictures' folder."""
        return f"{self.subset}/{self.label}/{self.name}"


@dataclass(frozen=True)
class Manifest:
    """What `split` did.

    `source` is the parameter (of a path, only the name); `classes` are in the order of the
    network's outputs; `rejected` has `source` and `reason` of each picture that could not be used;
    `duplicates` are groups of archive names that show the same picture.
    """

    source: str
    archive_sha256: str
    classes: Sequence[str]
    pictures: Sequence[Entry]
    rejected: Sequence[dict[str, str]]
    duplicates: Sequence[Sequence[str]]
    ignored: Sequence[str]

    def subset(self, subset: str) -> list[Entry]:
        """The subset's pictures, class by class, in the order of the archive."""
        return [entry for entry in self.pictures if entry.subset == subset]

    def labels(self, subset: str) -> list[int]:
        """The index into `classes` of each picture of the subset."""
        return [self.classes.index(entry.label) for entry in self.subset(subset)]


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest."""
    write_json(path, asdict(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read the manifest that `split` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**content | {"pictures": [Entry(**row) for row in content["pictures"]]})
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `dvc repro split` makes it") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a manifest of this version ({error}); `dvc repro -f split` makes it") from None


def load_subset(folder: Path, entries: Sequence[Entry], image_size: int) -> np.ndarray:
    """Read the pictures of one subset and check each against its hash in the manifest.

    Args:
        folder: `data/pictures`.
        entries: the subset's rows of the manifest, in order.
        image_size: side of the square, pixels.

    Returns:
        uint8 array `(len(entries), image_size, image_size, 3)`.

    Raises:
        InputError: a picture is missing or is not the one the manifest names.
    """
    pictures = np.empty((len(entries), image_size, image_size, 3), np.uint8)

    def load(index: int) -> None:
        path = folder / entries[index].path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: missing; `dvc repro -f split` makes it again") from None
        if hashlib.sha256(data).hexdigest() != entries[index].sha256:
            raise InputError(f"{path}: changed since `split` wrote it; `dvc repro -f split` makes it again")
        pictures[index] = to_input(data, image_size)

    # Decoding and resizing release the interpreter lock, so threads do.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(load, range(len(entries))):
            pass
    return pictures
