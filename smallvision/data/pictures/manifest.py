"""The file `data/pictures/manifest.json`: where each picture went, and why others take no part."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from smallvision.core.errors import InputError, first_problem
from smallvision.core.files import write_json

SUBSETS = ("train", "validation", "test")
UNLABELLED = "unlabelled"  # the folder beside those of the subsets
_CHECKED = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, config=_CHECKED)
class Entry:
    """One picture: its subset, class and file name, its path in the archive, its hash, and its format by content.

    `group` names what stays together with it, as the parameter `split.group` says, and is None without a group.
    """

    subset: str
    label: str
    name: str
    source: str
    sha256: str
    format: str
    group: str | None = None

    @property
    def path(self) -> str:
        """The path relative to the folder of the pictures."""
        return f"{self.subset}/{self.label}/{self.name}"


@dataclass(frozen=True, config=_CHECKED)
class Unlabelled:
    """One picture without a label: its file name, its path in the archive, its hash, and its format by content."""

    name: str
    source: str
    sha256: str
    format: str

    @property
    def path(self) -> str:
        """The path relative to the folder of the pictures."""
        return f"{UNLABELLED}/{self.name}"


@dataclass(frozen=True, config=_CHECKED)
class Rejection:
    """A picture or another file that takes no part: its path in the archive, and the reason."""

    source: str
    reason: str


@dataclass(frozen=True, config=_CHECKED)
class Manifest:
    """What `split` did.

    Attributes:
        source: the parameter `source`, or only the last part of it if it is a path or an address.
        archive_sha256: the SHA-256 of the archive.
        layout: what the labels were read from, for people: `folders`, or `the table labels.csv`.
        given: the subsets among `validation` and `test` that came with the pictures.
        classes: the names of the classes, in the order of the outputs of the network.
        pictures: the pictures that were used.
        unlabelled: the pictures without a label, which no subset has.
        rejected: the pictures that cannot be used.
        left_out: the pictures that could be used but take no part, and the files that are no pictures. Pictures beyond
            the numbers of `split` are not listed.
        duplicates: groups of paths in the archive that show the same picture.
        conflicts: the groups of duplicates whose labels differ.
    """

    source: str
    archive_sha256: str
    layout: str
    given: Sequence[str]
    classes: Sequence[str]
    pictures: Sequence[Entry]
    unlabelled: Sequence[Unlabelled]
    rejected: Sequence[Rejection]
    left_out: Sequence[Rejection]
    duplicates: Sequence[Sequence[str]]
    conflicts: Sequence[Sequence[str]]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of pictures in each subset, for each class."""
        found = Counter((entry.label, entry.subset) for entry in self.pictures)
        return {label: {subset: found[label, subset] for subset in SUBSETS} for label in self.classes}

    def subset(self, subset: str) -> list[Entry]:
        """Return the pictures of a subset, class by class, in the order of the archive."""
        return [entry for entry in self.pictures if entry.subset == subset]

    def labels(self, subset: str) -> list[int]:
        """Return for each picture of a subset the index of its class in `classes`."""
        return [self.classes.index(entry.label) for entry in self.subset(subset)]

    def groups(self, subset: str) -> list[int]:
        """Return for each picture of a subset the number of its group; copies of a picture have one number, too."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        entries = self.subset(subset)
        places = {entry.source: place for place, entry in enumerate(entries)}
        groups: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            if entry.group is not None:
                groups.setdefault(entry.group, []).append(place)
        copies = ([places[source] for source in sources if source in places] for sources in self.duplicates)
        pairs = [pair for places in (*groups.values(), *copies) for pair in pairwise(places)]
        linked = csr_array(
            (np.ones(len(pairs)), np.array(pairs, dtype=int).reshape(-1, 2).T), shape=(len(entries),) * 2
        )
        numbers: list[int] = connected_components(linked, directed=False)[1].tolist()
        return numbers

    def limit_train(self, limit: int | None) -> "Manifest":
        """Return a manifest with only the first `limit` training pictures of each class; None keeps all of them."""
        seen: Counter[str] = Counter()
        kept = []
        for entry in self.pictures:
            if entry.subset == "train":
                seen[entry.label] += 1
            if limit is None or entry.subset != "train" or seen[entry.label] <= limit:
                kept.append(entry)
        return replace(self, pictures=kept)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest as JSON."""
    write_json(path, asdict(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read the manifest that `split` wrote.

    Raises:
        InputError: it is missing, a field is missing, unknown or of another type, or it is not JSON.
    """
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `dvc repro split` makes it") from None
    except ValidationError as error:
        reason = first_problem(error)
        raise InputError(f"{path}: not a manifest of this version ({reason}); `dvc repro -f split` makes it") from None
