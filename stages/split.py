"""Stage split: share the pictures out to train, validation and test. Reads `split` and `source`."""

import argparse
import hashlib
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from smallvision.core.errors import InputError, printable, run
from smallvision.core.files import locked, require_space, sha256_of
from smallvision.core.params import Split, read_params
from smallvision.data.pictures.decoding import PictureError, decode
from smallvision.data.pictures.manifest import SUBSETS, Entry, Manifest, write_manifest
from smallvision.data.sources import names as sources
from smallvision.data.sources.archives import Member, PictureArchive, open_pictures
from smallvision.data.splitting.duplicates import Fingerprint, fingerprint, group_duplicates
from smallvision.data.splitting.subsets import assign, assign_by_share, sizes_by_share

MAX_NAME = 200  # bytes; file systems take 255
MAX_LISTED = 5  # classes that are named each on the terminal


@dataclass(frozen=True)
class Good:
    """A picture that decodes, and its format."""

    member: Member
    sha256: str
    format: str
    looks: Fingerprint


@dataclass(frozen=True)
class Bad:
    """A picture that does not."""

    member: Member
    reason: str


def check(archive: PictureArchive, members: Iterable[Member], min_side: int) -> Iterator[Good | Bad]:
    """Decode every picture completely; a JPEG cut in half passes anything less."""

    def check_one(member: Member) -> Good | Bad:
        try:
            data = archive.read(member)
            picture = decode(data, min_side)
            return Good(member, hashlib.sha256(data).hexdigest(), str(picture.format), fingerprint(picture))
        except PictureError as error:
            return Bad(member, str(error))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # inflating and decoding release the interpreter lock
        yield from pool.map(check_one, members)


def choose(archive: PictureArchive, wanted: Split) -> tuple[dict[str, list[Good]], list[Bad]]:
    """Take the first pictures of each class, as many as `wanted` of all subsets, as the book does.

    A bad picture's place goes to the first good one behind them, so that all others keep theirs.
    By share all good ones are taken, or the first, where the shares are less than 1 in all.

    Raises:
        InputError: a class has fewer good pictures (says how many each has), or too many are bad.
    """
    most = None if wanted.by_share else sum(wanted.counts.values())
    chosen: dict[str, list[Good]] = {}
    rejected: list[Bad] = []
    total = sum(len(members[:most]) for members in archive.members.values())
    with tqdm(total=total, unit="picture", desc="check", disable=not sys.stderr.isatty()) as bar:
        for label, members in archive.members.items():
            places: list[Good | None] = []
            for result in check(archive, members[:most], wanted.min_side):
                bar.update()
                places.append(result if isinstance(result, Good) else None)
                if isinstance(result, Bad):
                    rejected.append(result)
            spares = iter(members[len(places) :])
            while None in places and (spare := next(spares, None)) is not None:
                result = next(check(archive, [spare], wanted.min_side))
                if isinstance(result, Good):
                    places[places.index(None)] = result
                else:
                    rejected.append(result)
            chosen[label] = [place for place in places if place is not None]
    require(most or len(SUBSETS), chosen, rejected)
    share = len(rejected) / (len(rejected) + sum(len(goods) for goods in chosen.values()))
    if share > wanted.max_rejected:
        raise InputError(
            f"{share:.1%} of the pictures were rejected, more than split.max_rejected {wanted.max_rejected:.1%} "
            f"(first {rejected[0].member.path}: {rejected[0].reason}); look at the archive, or raise that share"
        )
    if wanted.by_share:
        used = min(math.fsum(wanted.sizes.values()), 1.0)
        chosen = {label: goods[: max(round(used * len(goods)), len(SUBSETS))] for label, goods in chosen.items()}
    return chosen, rejected


def require(needed: int, chosen: Mapping[str, Sequence[Good]], rejected: Sequence[Bad]) -> None:
    """Check that there are enough good pictures of each class.

    Raises:
        InputError: saying how many each has, of many classes those that have too few.
    """
    few = [label for label, goods in chosen.items() if len(goods) < needed]
    if not few:
        return
    bad = Counter(result.member.label for result in rejected)
    have = ", ".join(
        f"{label}: have {len(chosen[label])}, need {needed}" + (f" ({bad[label]} rejected)" if bad[label] else "")
        for label in (chosen if len(chosen) <= MAX_LISTED else few)
    )
    raise InputError(
        f"too few usable pictures: {have}; add pictures, or set train, validation and test of `split` lower "
        "or to shares (0.7, 0.15, 0.15)"
    )


def file_names(members: Sequence[Member]) -> list[str]:
    """Return a file name for each picture of a class: its own, unless names repeat or are too long.

    Then every name gets the picture's number in front.
    """
    names = [member.name for member in members]
    if len({name.casefold() for name in names}) == len(names) and max(len(n.encode()) for n in names) <= MAX_NAME:
        return names
    digits = len(str(len(names)))
    stems = [(PurePosixPath(name).stem.encode()[: MAX_NAME // 2].decode(errors="ignore"), name) for name in names]
    return [f"{index:0{digits}}__{stem}{PurePosixPath(name).suffix}" for index, (stem, name) in enumerate(stems)]


def write_tree(folder: Path, archive: PictureArchive, manifest: Manifest, members: Sequence[Member]) -> None:
    """Write the pictures beside `folder`, then move them in; the manifest comes last.

    Raises:
        InputError: the archive was changed since its pictures were checked.
    """
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    require_space(folder.parent, sum(member.info.file_size for member in members))
    try:
        for subset in SUBSETS:
            for label in manifest.classes:
                (part / subset / label).mkdir(parents=True)
        for entry, member in zip(manifest.pictures, members, strict=True):
            data = archive.read(member)
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise InputError(f"{member.path} was changed while the archive was read; try again")
            (part / entry.path).write_bytes(data)
        (folder / "manifest.json").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for subset in SUBSETS:
            if (folder / subset).exists():
                shutil.rmtree(folder / subset)
            os.replace(part / subset, folder / subset)
        write_manifest(folder / "manifest.json", manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def split(archive_path: Path, folder: Path, wanted: Split, source: str) -> Manifest:
    """Share out the pictures of an archive and return the manifest that was written."""
    with open_pictures(archive_path) as archive:
        chosen, rejected = choose(archive, wanted)
        goods = [good for label in chosen for good in chosen[label]]
        groups = group_duplicates([good.looks for good in goods])
        alike = [[goods[index] for index in group] for group in groups]
        labels = [good.member.label for good in goods]
        if wanted.by_share:
            sizes = {label: sizes_by_share(len(chosen[label]), wanted.sizes) for label in chosen}
            subsets = assign_by_share(labels, groups, sizes)
        else:
            subsets = assign(labels, groups, wanted.counts)
        names = [name for label in chosen for name in file_names([good.member for good in chosen[label]])]
        rows = [
            (Entry(subset, good.member.label, name, good.member.path, good.sha256, good.format), good.member)
            for subset, good, name in zip(subsets, goods, names, strict=True)
        ]
        rows.sort(key=lambda row: SUBSETS.index(row[0].subset))  # stable: the archive's order within
        manifest = Manifest(
            source=source,
            archive_sha256=sha256_of(archive_path),
            classes=list(chosen),
            pictures=[entry for entry, _ in rows],
            rejected=[{"source": bad.member.path, "reason": bad.reason} for bad in rejected],
            duplicates=[[good.member.path for good in group] for group in alike],
            conflicts=[
                [good.member.path for good in group] for group in alike if len({g.member.label for g in group}) > 1
            ],
            ignored=archive.ignored,
        )
        write_tree(folder, archive, manifest, [member for _, member in rows])
    return manifest


def report(manifest: Manifest, path: Path) -> None:
    """Say what went where, in a few lines however many classes there are."""
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.split", description="Share the pictures out.")
    parser.add_argument("archive", type=Path, help="the archive that fetch wrote")
    parser.add_argument("pictures", type=Path, help="folder to write train, validation and test to")
    arguments = parser.parse_args()
    params = read_params()
    with locked(arguments.pictures):
        manifest = split(arguments.archive, arguments.pictures, params.split, sources.name_of(params.source))
    report(manifest, arguments.pictures / "manifest.json")


if __name__ == "__main__":
    run("split", main)
