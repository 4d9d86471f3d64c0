"""Check which pictures of an archive can be used, and choose as many as `split` needs."""

import hashlib
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from smallvision.core.errors import InputError
from smallvision.core.params import Split
from smallvision.data.pictures.decoding import PictureError, decode
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.archives import Member, PictureArchive
from smallvision.data.splitting.duplicates import Appearance, appearance_of

MAX_LISTED = 5  # with more classes than this, messages do not list them all


@dataclass(frozen=True)
class GoodPicture:
    """A picture that can be used, with its hash, its format by content, and what it looks like."""

    member: Member
    sha256: str
    format: str
    appearance: Appearance


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be used, with the reason."""

    member: Member
    reason: str


def check_pictures(
    archive: PictureArchive, members: Iterable[Member], min_side: int
) -> Iterator[GoodPicture | BadPicture]:
    """Decode every picture completely, because a JPEG that is cut in half passes anything less.

    Args:
        archive: where the pictures are.
        members: the pictures to check.
        min_side: pixels; a picture with a shorter side is bad.

    Yields:
        What was found about each picture, in order.

    Raises:
        InputError: the archive is damaged.
    """

    def check_picture(member: Member) -> GoodPicture | BadPicture:
        try:
            data = archive.read(member)
            picture = decode(data, min_side)
            sha256 = hashlib.sha256(data).hexdigest()
            return GoodPicture(member, sha256, str(picture.format), appearance_of(picture))
        except PictureError as error:
            return BadPicture(member, str(error))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Unpacking and decoding release the interpreter lock.
        yield from pool.map(check_picture, members)


def choose_pictures(archive: PictureArchive, wanted: Split) -> tuple[dict[str, list[GoodPicture]], list[BadPicture]]:
    """Choose the pictures of each class: the first ones, as the book does, as many as all subsets need together.

    A bad picture's place goes to the first good one that comes after the chosen ones, so that all others keep their
    places. If the subsets are shares, all good pictures are chosen, or only the first ones if the shares sum to less
    than 1.

    Returns:
        The chosen pictures of each class, and all bad ones that were found.

    Raises:
        InputError: a class has too few good pictures, or too many pictures are bad.
    """
    most = None if wanted.by_share else sum(wanted.counts.values())
    chosen: dict[str, list[GoodPicture]] = {}
    rejected: list[BadPicture] = []
    total = sum(len(members[:most]) for members in archive.members.values())
    with tqdm(total=total, unit="picture", desc="check", disable=not sys.stderr.isatty()) as bar:
        for label, members in archive.members.items():
            places: list[GoodPicture | None] = []
            for result in check_pictures(archive, members[:most], wanted.min_side):
                bar.update()
                places.append(result if isinstance(result, GoodPicture) else None)
                if isinstance(result, BadPicture):
                    rejected.append(result)
            spares = iter(members[len(places) :])
            while None in places and (spare := next(spares, None)) is not None:
                result = next(check_pictures(archive, [spare], wanted.min_side))
                if isinstance(result, GoodPicture):
                    places[places.index(None)] = result
                else:
                    rejected.append(result)
            chosen[label] = [place for place in places if place is not None]
    require_enough(most or len(SUBSETS), chosen, rejected)
    _refuse_bad_archive(chosen, rejected, wanted.max_rejected)
    if wanted.by_share:
        used = min(math.fsum(wanted.sizes.values()), 1.0)
        chosen = {label: goods[: max(round(used * len(goods)), len(SUBSETS))] for label, goods in chosen.items()}
    return chosen, rejected


def require_enough(needed: int, chosen: Mapping[str, Sequence[GoodPicture]], rejected: Sequence[BadPicture]) -> None:
    """Check that each class has at least `needed` good pictures.

    Raises:
        InputError: a class has fewer. The message says how many each class has; if there are more than `MAX_LISTED`
            classes, it names only those that have too few.
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


def _refuse_bad_archive(
    chosen: Mapping[str, Sequence[GoodPicture]], rejected: Sequence[BadPicture], max_rejected: float
) -> None:
    share = len(rejected) / (len(rejected) + sum(len(goods) for goods in chosen.values()))
    if share > max_rejected:
        raise InputError(
            f"{share:.1%} of the pictures were rejected, more than split.max_rejected {max_rejected:.1%} "
            f"(first {rejected[0].member.path}: {rejected[0].reason}); look at the archive, or raise that share"
        )
