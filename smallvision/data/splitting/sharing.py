"""Share the pictures of an archive out to the training, validation and test subsets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from smallvision.core.errors import printable
from smallvision.core.files import sha256_of
from smallvision.core.params import Split
from smallvision.data.pictures.manifest import SUBSETS, Entry, Manifest, Rejection
from smallvision.data.sources.archives import open_pictures
from smallvision.data.splitting.checking import MAX_LISTED, GoodPicture, choose_pictures
from smallvision.data.splitting.duplicates import group_duplicates
from smallvision.data.splitting.subsets import assign_by_count, assign_by_share, sizes_by_share
from smallvision.data.splitting.tree import file_names, write_tree


def share_out(archive_path: Path, folder: Path, wanted: Split, source: str) -> Manifest:
    """Check the pictures of an archive, share them out, and write them with their manifest.

    Args:
        archive_path: the archive that `fetch` wrote.
        folder: where to write the subsets and `manifest.json`.
        wanted: the parameter `split`.
        source: the name of the archive's source, for the manifest.

    Returns:
        The manifest that was written.

    Raises:
        InputError: the archive cannot be used, or has too few good pictures.
    """
    with open_pictures(archive_path) as archive:
        chosen, rejected = choose_pictures(archive, wanted)
        goods = [good for label in chosen for good in chosen[label]]
        groups = group_duplicates([good.appearance for good in goods])
        alike = [[goods[index] for index in group] for group in groups]
        names = [name for label in chosen for name in file_names([good.member for good in chosen[label]])]
        rows = [
            (_entry_of(good, subset, name), good.member)
            for subset, good, name in zip(_assign(chosen, groups, wanted), goods, names, strict=True)
        ]
        rows.sort(key=lambda row: SUBSETS.index(row[0].subset))  # The sort is stable: a subset keeps its order.
        manifest = Manifest(
            source=source,
            archive_sha256=sha256_of(archive_path),
            classes=list(chosen),
            pictures=[entry for entry, _ in rows],
            rejected=[Rejection(source=bad.member.path, reason=bad.reason) for bad in rejected],
            duplicates=[[good.member.path for good in group] for group in alike],
            conflicts=[
                [good.member.path for good in group]
                for group in alike
                if len({good.member.label for good in group}) > 1
            ],
            ignored=archive.ignored,
        )
        write_tree(folder, archive, manifest, [member for _, member in rows])
    return manifest


def _entry_of(good: GoodPicture, subset: str, name: str) -> Entry:
    return Entry(
        subset=subset,
        label=good.member.label,
        name=name,
        source=good.member.path,
        sha256=good.sha256,
        format=good.format,
    )


def _assign(chosen: Mapping[str, Sequence[GoodPicture]], groups: Sequence[Sequence[int]], wanted: Split) -> list[str]:
    """Return the subset of each chosen picture, class by class."""
    labels = [label for label in chosen for _ in chosen[label]]
    if wanted.by_share:
        sizes = {label: sizes_by_share(len(chosen[label]), wanted.sizes) for label in chosen}
        return assign_by_share(labels, groups, sizes)
    return assign_by_count(labels, groups, wanted.counts)


def report(manifest: Manifest, path: Path) -> None:
    """Print what went where, in a few lines however many classes there are.

    Args:
        manifest: what was written.
        path: the file of the manifest, to which the report points.
    """
    classes, counts = manifest.classes, manifest.counts
    few = len(classes) <= MAX_LISTED
    totals = ", ".join(f"{len(manifest.subset(subset))} {subset}" for subset in SUBSETS)
    print(printable(f"split: {manifest.source}: {', '.join(classes) if few else f'{len(classes)} classes'}: {totals}"))
    if any(sizes != counts[classes[0]] for sizes in counts.values()):
        by_size = sorted(classes, key=lambda label: sum(counts[label].values()))
        listed = classes if few else [by_size[0], by_size[-1]]
        each = [f"{label} {'/'.join(str(count) for count in counts[label].values())}" for label in listed]
        print(printable(f"split: {'/'.join(SUBSETS)}: {', '.join(each) if few else ' to '.join(each)}"))
    if manifest.rejected or manifest.duplicates:
        print(
            f"split: {len(manifest.rejected)} pictures rejected, {len(manifest.duplicates)} groups of duplicates "
            f"kept in one subset; see {path}"
        )
    for first, *others in manifest.conflicts:
        print(printable(f"split: {first} and {', '.join(others)} look the same, but their labels differ"))
