"""Share the pictures of an archive out to the training, validation and test subsets."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from smallvision.core.errors import InputError
from smallvision.core.files import sha256_of
from smallvision.core.params import Split
from smallvision.data.layouts.reading import read_layout
from smallvision.data.layouts.rows import Reading
from smallvision.data.pictures.manifest import SUBSETS, Entry, Manifest, Rejection, Unlabelled
from smallvision.data.sources.files import SourceFiles, open_files
from smallvision.data.sources.names import NAMED
from smallvision.data.splitting.assigning import Assignment, assign
from smallvision.data.splitting.checking import GoodPicture, check_unlabelled, choose_pictures
from smallvision.data.splitting.duplicates import group_duplicates
from smallvision.data.splitting.pool import Pool, order_by_bytes, sort_rows
from smallvision.data.splitting.tree import file_names, write_tree


def share_out(
    archive_path: Path,
    folder: Path,
    wanted: Split,
    source: str,
    labels: str = "auto",
    classes: Sequence[str] | None = None,
) -> tuple[Manifest, Reading]:
    """Check the pictures of an archive, share them out, and write them with their manifest.

    Args:
        archive_path: the archive that `fetch` wrote.
        folder: where to write the subsets, the unlabelled pictures and `manifest.json`.
        wanted: the parameter `split`.
        source: the name of the archive's source, for the manifest and for messages: it is what the user knows.
        labels: the parameter `labels`.
        classes: the parameter `classes`.

    Returns:
        The manifest that was written, and what was read.

    Raises:
        ParameterError: `classes` names a class that the source does not have.
        InputError: the archive is missing, cannot be used, or has too few good pictures.
    """
    with _open_fetched(archive_path, source) as files:
        reading = read_layout(files, labels, wanted.group, keep_subsets=wanted.subsets == "given")
        pool = _put_in_order(files, sort_rows(reading, classes), wanted, by_name=reading.books or source in NAMED)
        chosen, rejected = choose_pictures(files, pool, wanted)
        goods = [good for label in chosen for good in chosen[label]]
        copies = group_duplicates([good.appearance for good in goods])
        assignment = assign(goods, copies, pool.given, wanted)
        unlabelled, useless = check_unlabelled(files, pool.unlabelled, wanted.min_side)
        alike = [[goods[index].row for index in group] for group in copies]
        manifest = Manifest(
            source=source,
            archive_sha256=sha256_of(archive_path),
            layout=reading.reader,
            given=pool.given,
            classes=list(chosen),
            pictures=_entries_of(goods, assignment.subsets),
            unlabelled=_unlabelled_of(unlabelled),
            rejected=[Rejection(source=bad.row.path, reason=bad.reason) for bad in [*rejected, *useless]],
            left_out=_left_out_of(files, pool, goods, assignment),
            duplicates=[[row.path for row in group] for group in alike],
            conflicts=[[row.path for row in group] for group in alike if len({row.label for row in group}) > 1],
        )
        write_tree(folder, files, manifest)
    return manifest, reading


def _open_fetched(archive: Path, source: str) -> AbstractContextManager[SourceFiles]:
    if not archive.exists():
        raise InputError(f"{archive}: not found; `dvc repro fetch` makes it")
    return open_files(archive, source)


def _put_in_order(files: SourceFiles, pool: Pool, wanted: Split, *, by_name: bool) -> Pool:
    """Put the pictures in the order that `split.order` names; if it names none, `by_name` decides."""
    order = wanted.order or ("name" if by_name else "random")
    return pool if order == "name" else order_by_bytes(files, pool, wanted.seed)


def _entries_of(goods: Sequence[GoodPicture], subsets: Mapping[int, str]) -> list[Entry]:
    """Return the pictures that are in a subset: subset by subset, class by class, in the order they were chosen in."""
    used: dict[str, list[tuple[str, GoodPicture]]] = {}
    for index, good in enumerate(goods):
        if index in subsets:
            used.setdefault(str(good.row.label), []).append((subsets[index], good))
    entries = [
        Entry(subset, label, name, good.row.path, good.sha256, good.format, good.row.group)
        for label, pairs in used.items()
        for name, (subset, good) in zip(file_names([good.row.path for _, good in pairs]), pairs, strict=True)
    ]
    return sorted(entries, key=lambda entry: SUBSETS.index(entry.subset))


def _unlabelled_of(goods: Sequence[GoodPicture]) -> list[Unlabelled]:
    names = file_names([good.row.path for good in goods])
    return [Unlabelled(name, good.row.path, good.sha256, good.format) for name, good in zip(names, goods, strict=True)]


def _left_out_of(
    files: SourceFiles, pool: Pool, goods: Sequence[GoodPicture], assignment: Assignment
) -> list[Rejection]:
    return [
        *(Rejection(row.path, str(row.left_out)) for row in pool.left_out),
        *(Rejection(goods[index].row.path, reason) for index, reason in sorted(assignment.taken_out.items())),
        *(Rejection(path, "not a picture") for path in files.others),
        *(Rejection(one.path, one.reason) for one in files.left_out),
    ]
