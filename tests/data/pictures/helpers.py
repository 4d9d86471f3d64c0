"""Manifests made by hand."""

from collections.abc import Sequence

from smallvision.data.pictures.manifest import Entry, Manifest


def make_manifest(classes: Sequence[str], pictures: Sequence[Entry]) -> Manifest:
    """A manifest of drawn pictures, without any others."""
    return Manifest(
        source="drawn",
        archive_sha256="0" * 64,
        layout="folders",
        given=[],
        classes=classes,
        pictures=pictures,
        unlabelled=[],
        rejected=[],
        left_out=[],
        duplicates=[],
        conflicts=[],
    )
