"""Check which pictures can be used, and choose as many as `split` needs."""

import hashlib
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from smallvision.core.errors import InputError, in_words, printable
from smallvision.core.params import Split
from smallvision.data.layouts.rows import Row
from smallvision.data.pictures.decoding import PictureError, decode
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.files import SourceFiles, group_by_reason
from smallvision.data.splitting.duplicates import Appearance, appearance_of
from smallvision.data.splitting.pool import Pool
from smallvision.data.splitting.reasons import kind_of

MAX_LISTED = 5  # with more classes than this, messages do not list them all


@dataclass(frozen=True)
class GoodPicture:
    """A picture that can be used, with its hash, its format by content, and what it looks like."""

    row: Row
    sha256: str
    format: str
    appearance: Appearance


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be used, with the reason."""

    row: Row
    reason: str


def _check_pictures(files: SourceFiles, rows: Iterable[Row], min_side: int) -> Iterator[GoodPicture | BadPicture]:
    """Decode every picture completely, because a JPEG that is cut in half passes anything less.

    Args:
        files: where the pictures are.
        rows: the pictures to check.
        min_side: pixels; a picture with a shorter side is bad.

    Yields:
        What was found about each picture, in order.

    Raises:
        InputError: the archive is damaged.
    """

    def check_picture(row: Row) -> GoodPicture | BadPicture:
        data = files.read(row.path)
        try:
            picture = decode(data, min_side)
        except PictureError as error:
            return BadPicture(row, str(error))
        return GoodPicture(row, hashlib.sha256(data).hexdigest(), str(picture.format), appearance_of(picture))

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Unpacking and decoding release the interpreter lock.
        yield from threads.map(check_picture, rows)


def choose_pictures(
    files: SourceFiles, pool: Pool, wanted: Split
) -> tuple[dict[str, list[GoodPicture]], list[BadPicture]]:
    """Choose the pictures of each class that are shared out.

    If no subset is given, `split` has counts and there are no groups, these are the first ones, as in the book, as many
    as all subsets need together. A bad picture's place goes to the first good one that comes after the chosen ones, so
    that all others keep their places. Otherwise all good pictures are chosen, or only the first ones if the shares sum
    to less than 1.

    Returns:
        The chosen pictures of each class, and all bad ones that were found.

    Raises:
        InputError: a class has too few good pictures, or too many pictures are bad.
    """
    some = not (pool.given or wanted.by_share or wanted.group)
    chosen, rejected = _check_classes(files, pool.labelled, sum(wanted.counts.values()) if some else None, wanted)
    _require_enough(chosen, rejected, pool, wanted)
    _refuse_bad_archive(chosen, rejected, wanted.max_rejected)
    if wanted.by_share and not pool.given:
        used = min(math.fsum(wanted.sizes.values()), 1.0)
        chosen = {label: goods[: max(round(used * len(goods)), len(SUBSETS))] for label, goods in chosen.items()}
    return chosen, rejected


def check_unlabelled(
    files: SourceFiles, rows: Sequence[Row], min_side: int
) -> tuple[list[GoodPicture], list[BadPicture]]:
    """Check the pictures without a label, and return the good and the bad ones."""
    goods, bads = [], []
    results = _check_pictures(files, rows, min_side)
    silent = not (rows and sys.stderr.isatty())
    for result in tqdm(results, total=len(rows), unit="picture", desc="check unlabelled", disable=silent):
        if isinstance(result, GoodPicture):
            goods.append(result)
        else:
            bads.append(result)
    return goods, bads


def _check_classes(
    files: SourceFiles, labelled: Mapping[str, Sequence[Row]], most: int | None, wanted: Split
) -> tuple[dict[str, list[GoodPicture]], list[BadPicture]]:
    """Check the first `most` pictures of each class, and more for each bad one; None: all pictures."""
    chosen: dict[str, list[GoodPicture]] = {}
    rejected: list[BadPicture] = []
    total = sum(len(rows[:most]) for rows in labelled.values())
    with tqdm(total=total, unit="picture", desc="check", disable=not sys.stderr.isatty()) as bar:
        for label, rows in labelled.items():
            places: list[GoodPicture | None] = []
            for result in _check_pictures(files, rows[:most], wanted.min_side):
                bar.update()
                places.append(result if isinstance(result, GoodPicture) else None)
                if isinstance(result, BadPicture):
                    rejected.append(result)
            spares = iter(rows[len(places) :])
            while None in places and (spare := next(spares, None)) is not None:
                result = next(_check_pictures(files, [spare], wanted.min_side))
                if isinstance(result, GoodPicture):
                    places[places.index(None)] = result
                else:
                    rejected.append(result)
            chosen[label] = [place for place in places if place is not None]
    return chosen, rejected


def _require_enough(
    chosen: Mapping[str, Sequence[GoodPicture]], rejected: Sequence[BadPicture], pool: Pool, wanted: Split
) -> None:
    """Check that each class has enough good pictures for the subsets that are not given.

    Raises:
        InputError: a class has fewer. The message says how many each class has, and the commonest reason why others
            are lost; if there are more than `MAX_LISTED` classes, it names only the first that have too few.
    """
    made = [subset for subset in SUBSETS if subset not in pool.given]
    least_one = {subset: 1 for subset in made if wanted.by_share or (pool.given and subset == "train")}
    sizes = {subset: wanted.counts[subset] for subset in made} | least_one
    needed = sum(sizes.values())
    have = {label: sum(good.row.subset not in pool.given for good in goods) for label, goods in chosen.items()}
    few = [label for label, count in have.items() if count < needed]
    if not few:
        return
    lost: dict[str | None, list[tuple[str, str]]] = defaultdict(list)
    for row, reason in [*((bad.row, bad.reason) for bad in rejected), *((row, row.left_out) for row in pool.left_out)]:
        lost[row.label].append((row.path, kind_of(str(reason))))
    lines = []
    for label in have if len(have) <= MAX_LISTED else few[:MAX_LISTED]:
        why = next((f" ({len(paths)} {kind})" for kind, paths in group_by_reason(lost[label]).items()), "")
        lines.append(f"{label}: have {have[label]}, need {needed}{why}")
    more = f" and {len(few) - MAX_LISTED} classes more" if len(few) > MAX_LISTED else ""
    beside = f" beside those for {in_words(pool.given)}" if pool.given else ""
    counts = in_words([subset for subset in sizes if subset not in least_one])
    lower = f"set {counts} of `split` lower or to shares (0.7, 0.15, 0.15)"
    raise InputError(
        f"too few usable pictures{beside}: {printable(', '.join(lines))}{more}; "
        f"add pictures, or {lower if counts else 'leave a class out with `classes`'}"
    )


def _refuse_bad_archive(
    chosen: Mapping[str, Sequence[GoodPicture]], rejected: Sequence[BadPicture], max_rejected: float
) -> None:
    share = len(rejected) / (len(rejected) + sum(len(goods) for goods in chosen.values()))
    if share > max_rejected:
        raise InputError(
            f"{share:.1%} of the pictures were rejected, more than split.max_rejected {max_rejected:.1%} "
            f"(first {printable(rejected[0].row.path)}: {rejected[0].reason}); look at the archive, or raise that share"
        )
