"""`data/pictures/manifest.json`: which picture went where, and which was rejected and why."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from smallvision.core.errors import InputError
from smallvision.core.files import write_json

SUBSETS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """One picture: where it lies, what it shows, where it came from, and its format by content."""

    subset: str
    label: str
    name: str
    source: str
    sha256: str
    format: str

    @property
    def path(self) -> str:
        """The path below the pictures' folder."""
        return f"{self.subset}/{self.label}/{self.name}"


@dataclass(frozen=True)
class Manifest:
    """What `split` did.

    `source` is the parameter (of a path, only the name); `classes` are in the order of the
    network's outputs; `rejected` has `source` and `reason` of each picture that could not be used;
    `duplicates` are groups of archive names that show the same picture; in those of `conflicts` it
    has several labels.
    """

    source: str
    archive_sha256: str
    classes: Sequence[str]
    pictures: Sequence[Entry]
    rejected: Sequence[dict[str, str]]
    duplicates: Sequence[Sequence[str]]
    conflicts: Sequence[Sequence[str]]
    ignored: Sequence[str]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Per class, the number of pictures of each subset."""
        found = Counter((entry.label, entry.subset) for entry in self.pictures)
        return {label: {subset: found[label, subset] for subset in SUBSETS} for label in self.classes}

    def subset(self, subset: str) -> list[Entry]:
        """The subset's pictures, class by class, in the order of the archive."""
        return [entry for entry in self.pictures if entry.subset == subset]

    def labels(self, subset: str) -> list[int]:
        """The index into `classes` of each picture of the subset."""
        return [self.classes.index(entry.label) for entry in self.subset(subset)]

    def limit_train(self, limit: int | None) -> "Manifest":
        """Return a manifest with the first `limit` training pictures of each class only; None: all of them."""
        seen: Counter[str] = Counter()
        kept = []
        for entry in self.pictures:
            if entry.subset == "train":
                seen[entry.label] += 1
            if limit is None or entry.subset != "train" or seen[entry.label] <= limit:
                kept.append(entry)
        return replace(self, pictures=kept)


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
