"""Folders of drawn pictures, as `split` writes them."""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smallvision.data.pictures.manifest import Entry, Manifest, write_manifest
from smallvision.data.sources.drawn import DRAWN, draw_picture

DISTINCT = 100  # different pictures of a class; the others are hard links to them, because only their number counts


def write_pictures(folder: Path, counts: Mapping[str, int], width: int, height: int) -> None:
    """Write JPEGs of one size below `folder`: so many of each subset as `counts` says, half of them of each class."""
    entries = []
    distinct = min(DISTINCT, max(counts.values()) // 2)
    for label in DRAWN:
        originals = [_draw(label, number, width, height) for number in range(distinct)]
        hashes = [hashlib.sha256(data).hexdigest() for data in originals]
        first: dict[int, Path] = {}
        for subset, count in counts.items():
            for number in range(count // 2):
                entry = Entry(subset, label, f"{label}.{number}.jpg", "", hashes[number % distinct], "JPEG")
                path = folder / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                if number % distinct in first:
                    os.link(first[number % distinct], path)
                else:
                    path.write_bytes(originals[number])
                    first[number] = path
                entries.append(entry)
    manifest = Manifest(
        source="drawn",
        archive_sha256="",
        layout="names of the files",
        given=[],
        classes=list(DRAWN),
        pictures=entries,
        unlabelled=[],
        rejected=[],
        left_out=[],
        duplicates=[],
        conflicts=[],
    )
    write_manifest(folder / "manifest.json", manifest)


def _draw(label: str, number: int, width: int, height: int) -> bytes:
    rng = np.random.default_rng([list(DRAWN).index(label), number])
    data = io.BytesIO()
    draw_picture(label, rng).resize((width, height)).save(data, "JPEG", quality=85)
    return data.getvalue()
