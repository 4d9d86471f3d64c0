"""Say in a few lines what went where, and what took no part."""

from pathlib import Path

from smallvision.core.errors import counted, in_words, printable, shorten
from smallvision.core.params import Split
from smallvision.core.params_file import to_yaml
from smallvision.data.layouts.rows import Grouping, Reading
from smallvision.data.pictures.manifest import SUBSETS, UNLABELLED, Manifest
from smallvision.data.sources.files import by_ending, group_by_reason
from smallvision.data.splitting.checking import MAX_LISTED
from smallvision.data.splitting.reasons import kind_of

MAX_LINES = 10
MAX_CONFLICTS = 2
MAX_KINDS = 3  # reasons why pictures are left out
MAX_PATH = 40  # characters


def report(manifest: Manifest, reading: Reading, wanted: Split, path: Path) -> None:
    """Print what went where, in `MAX_LINES` lines at most, however many classes there are.

    Args:
        manifest: what was written.
        reading: what was read.
        wanted: the parameter `split`.
        path: the file of the manifest, to which the report points.
    """
    where = path.as_posix()
    lines = [*_sizes(manifest), f"labels from {manifest.layout}", *_given(manifest, reading)]
    if manifest.unlabelled:
        first, folder = shorten(manifest.unlabelled[0].source, MAX_PATH), path.with_name(UNLABELLED).as_posix()
        lines.append(f"{counted(len(manifest.unlabelled), 'unlabelled picture')}, such as {first}, kept in {folder}")
    lines += [*_left_out(manifest, reading, where), *_unmet(manifest, wanted)]
    if manifest.duplicates:
        see = "" if any(where in line for line in lines) else f"; see {where}"
        lines.append(f"{counted(len(manifest.duplicates), 'group')} of duplicates, each in one subset{see}")
    if wanted.group:
        lines += _groups(reading)
    elif reading.grouping:
        lines += _siblings(manifest, reading.grouping)
    lines += [*_notes(manifest, reading), *_conflicts(manifest)]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"and {len(lines) - MAX_LINES + 1} more lines; see {where}, and `smallvision look`"]
    for line in lines:
        print(f"split: {printable(line)}")


def _sizes(manifest: Manifest) -> list[str]:
    classes, counts = manifest.classes, manifest.counts
    few = len(classes) <= MAX_LISTED
    totals = ", ".join(f"{len(manifest.subset(subset))} {subset}" for subset in SUBSETS)
    lines = [f"{manifest.source}: {', '.join(classes) if few else f'{len(classes)} classes'}: {totals}"]
    if any(sizes != counts[classes[0]] for sizes in counts.values()):
        by_size = sorted(classes, key=lambda label: sum(counts[label].values()))
        shown = classes if few else [by_size[0], by_size[-1]]
        each = [f"{label} {'/'.join(str(count) for count in counts[label].values())}" for label in shown]
        lines.append(f"{'/'.join(SUBSETS)}: {', '.join(each) if few else ' to '.join(each)}")
    return lines


def _given(manifest: Manifest, reading: Reading) -> list[str]:
    """Say which subsets came with the pictures, and which were made although others came."""
    parts = []
    if manifest.given:
        parts.append(f"{in_words(manifest.given)} {'come' if len(manifest.given) > 1 else 'comes'} with the pictures")
    made = [subset for subset in SUBSETS[1:] if subset not in manifest.given]
    if made and not reading.books and any(row.subset for row in reading.rows):
        parts.append(f"{in_words(made)} {'were' if len(made) > 1 else 'was'} taken from the training pictures")
    return ["; ".join(parts)] if parts else []


def _left_out(manifest: Manifest, reading: Reading, where: str) -> list[str]:
    """Count the pictures that take no part by reason, and those that cannot be used by ending too."""
    rows = {row.path for row in reading.rows}
    bad = manifest.rejected
    useless = group_by_reason((each.source, kind_of(each.reason)) for each in bad)
    unused = group_by_reason((each.source, kind_of(each.reason)) for each in manifest.left_out if each.source in rows)
    counts = [(len(paths), f"{kind} ({by_ending(paths)})") for kind, paths in useless.items()]
    counts += [(len(paths), kind) for kind, paths in unused.items()]
    if more := sum(count for count, _ in counts[MAX_KINDS:]):
        counts[MAX_KINDS:] = [(more, "for other reasons")]
    parts = [f"{count} {why}" for count, why in counts]
    see = f"; see {where}" if parts else ""
    rows -= {each.source for each in manifest.pictures} | {each.source for each in manifest.unlabelled}
    if beyond := len(rows - {each.source for each in [*bad, *manifest.left_out]}):
        parts.append(f"{beyond} beyond the numbers of `split`")
    return [f"left out: {', '.join(parts)}{see}"] if parts else []


def _unmet(manifest: Manifest, wanted: Split) -> list[str]:
    """Say which class has fewer pictures than `split` says, because a group stays in one subset."""
    if wanted.by_share or not wanted.group or manifest.given:
        return []
    short = [
        f"{label} has {count} of {wanted.counts[subset]} {subset} pictures"
        for label, counts in manifest.counts.items()
        for subset, count in counts.items()
        if count < wanted.counts[subset]
    ]
    more = f" (and {len(short) - 1} more such)" if len(short) > 1 else ""
    return [f"groups stay together, so {short[0]}{more}"] if short else []


def _groups(reading: Reading) -> list[str]:
    """Say how many groups there are, and how many pictures are in none, as of a pattern that does not fit them."""
    rows = [row for row in reading.rows if row.label is not None and row.left_out is None]
    groups = {row.group for row in rows if row.group is not None}
    alone = sum(row.group is None for row in rows)
    told = f"; {alone} of {counted(len(rows), 'labelled picture')} in none, each of them alone" if alone else ""
    return [f"{counted(len(groups), 'group')} by `split.group`, each in one subset{told}"]


def _siblings(manifest: Manifest, grouping: Grouping) -> list[str]:
    """Say how many test pictures belong to something that was trained on, going by what looks like groups."""
    trained = {grouping.groups.get(entry.source) for entry in manifest.subset("train")} - {None}
    test = manifest.subset("test")
    count = sum(grouping.groups.get(entry.source) in trained for entry in test)
    told = (
        f"{count} of {len(test)} test pictures seem to have siblings in train; "
        f"`split.group: {to_yaml(grouping.key)}` keeps them together"
    )
    return [told] if count else []


def _notes(manifest: Manifest, reading: Reading) -> list[str]:
    """Return the notes of the reader, without those about a class that `classes` leaves out, which are settled."""
    settled = {note for note, label in reading.doubted.items() if label not in manifest.classes}
    return [note for note in reading.notes if note not in settled]


def _conflicts(manifest: Manifest) -> list[str]:
    lines = []
    for first, *others in manifest.conflicts[:MAX_CONFLICTS]:
        shown = ", ".join(shorten(path, MAX_PATH) for path in others[:2])
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        lines.append(f"{shorten(first, MAX_PATH)} and {shown}{more} look the same, but their labels differ")
    if more_groups := len(manifest.conflicts) - len(lines):
        lines[-1] += f"; and {more_groups} more"
    return lines
