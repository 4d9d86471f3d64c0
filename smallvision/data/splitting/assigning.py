"""Decide the subset of every chosen picture: keep the subsets that are given, and make those that are missing."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smallvision.core.errors import InputError, in_words, printable
from smallvision.core.params import Split
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.splitting.checking import GoodPicture
from smallvision.data.splitting.reasons import COPY, GROUP
from smallvision.data.splitting.subsets import assign_by_count, assign_by_share, assign_up_to, join, sizes_by_share

Units = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Assignment:
    """Where the chosen pictures go, by their index; those that are neither here nor there are beyond the counts.

    Attributes:
        subsets: the subset of each picture that is in one.
        taken_out: why a picture was taken out of the subset that it came in.
    """

    subsets: Mapping[int, str]
    taken_out: Mapping[int, str]


def assign(goods: Sequence[GoodPicture], copies: Units, given: Sequence[str], wanted: Split) -> Assignment:
    """Assign the chosen pictures to subsets, so that neither copies nor a group are in two of them.

    Args:
        goods: the chosen pictures, class by class.
        copies: for each picture that has copies, the indices of all of them.
        given: the subsets that come with the pictures.
        wanted: the parameter `split`.

    Raises:
        InputError: a class would not be in every subset, or there are too many copies.
    """
    labels = [str(good.row.label) for good in goods]
    units: Units = join(len(goods), [*copies, *_groups_of(goods)])
    kept: dict[int, str] = {}
    taken_out: dict[int, str] = {}
    if given:
        kept, taken_out = _keep_given(goods, copies, units, given)
        units = [unit for unit in units if kept.keys().isdisjoint(unit)]
    free = Counter(dict.fromkeys(labels, 0))
    free.update(labels[index] for unit in units for index in unit)
    if given:
        subsets = kept | assign_by_share(labels, units, _sizes_beside(given, free, wanted))
    elif wanted.by_share:
        sizes = {label: sizes_by_share(count, wanted.sizes) for label, count in free.items()}
        subsets = assign_by_share(labels, units, sizes)
    elif wanted.group:
        subsets = assign_up_to(labels, units, dict.fromkeys(free, wanted.counts))
    else:
        subsets = assign_by_count(labels, copies, wanted.counts)
    _require_everywhere(labels, units, subsets, given, wanted.group)
    return Assignment(subsets, taken_out)


def _groups_of(goods: Sequence[GoodPicture]) -> list[list[int]]:
    groups = defaultdict(list)
    for index, good in enumerate(goods):
        if good.row.group is not None:
            groups[good.row.group].append(index)
    return list(groups.values())


def _keep_given(
    goods: Sequence[GoodPicture], copies: Units, units: Units, given: Sequence[str]
) -> tuple[dict[int, str], dict[int, str]]:
    """Keep the given subsets, and take out what belongs to a picture of another one.

    If the pictures of a unit are in several subsets, those in `test` are kept, or else those in `validation`.

    Returns:
        The subset of each picture that is kept in a given one, and the reason for each one that is taken out.
    """
    came = [good.row.subset if good.row.subset in given else None for good in goods]
    copies_of = {index: group for group in copies for index in group}
    kept: dict[int, str] = {}
    taken_out: dict[int, str] = {}
    for unit in units:
        homes = {subset for index in unit if (subset := came[index])}
        if not homes:
            continue
        home = max(homes, key=SUBSETS.index)
        for index in unit:
            if came[index] == home:
                kept[index] = home
                continue
            same = [other for other in copies_of.get(index, ()) if came[other] == home]
            kind, others = (COPY, same) if same else (GROUP, [other for other in unit if came[other] == home])
            taken_out[index] = f"{kind.format(home)}: {goods[others[0]].row.path}"
    return kept, taken_out


def _sizes_beside(given: Sequence[str], free: Mapping[str, int], wanted: Split) -> dict[str, dict[str, int]]:
    """Return for each class the sizes of the subsets that are not given: what `split` says, and the rest for train."""
    missing = [subset for subset in SUBSETS[1:] if subset not in given]
    all_sizes = {}
    for label, count in free.items():
        if wanted.by_share:
            shares = {subset: float(wanted.sizes[subset]) for subset in missing}
            shares = {"train": 1 - sum(shares.values()), **shares}
            sizes = sizes_by_share(count, shares) if count >= len(shares) else {"train": 0}
        else:
            counts = {subset: wanted.counts[subset] for subset in missing}
            sizes = {"train": count - sum(counts.values()), **counts}
        if sizes["train"] < 1:
            raise InputError(
                f"{printable(label)}: too few pictures are left for {in_words(['train', *missing])}, {count}, after "
                f"what belongs to {in_words(given)} pictures (copies, groups) was taken out; add pictures, or set "
                "`split.subsets: new` in params.yaml"
            )
        all_sizes[label] = sizes
    return all_sizes


def _require_everywhere(
    labels: Sequence[str], units: Units, subsets: Mapping[int, str], given: Sequence[str], group: str | None
) -> None:
    found = {(labels[index], subset) for index, subset in subsets.items()}
    for label in dict.fromkeys(labels):
        missing = [subset for subset in SUBSETS if (label, subset) not in found]
        if not missing:
            continue
        if lacking := [subset for subset in missing if subset in given]:
            raise InputError(
                f"{printable(label)}: no usable picture for {in_words(lacking)}, which comes with the pictures; add "
                "some, leave that class out with `classes`, or set `split.subsets: new` in params.yaml"
            )
        mine = [[index for index in unit if labels[index] == label] for unit in units]
        count, different = sum(map(len, mine)), sum(map(bool, mine))
        what, rule, remedy = (
            (
                f"in {different} groups (split.group: {group})",
                "a group stays",
                "add pictures of other groups, or set `split.group: null`",
            )
            if group
            else (f"{different} without copies", "copies stay", "remove copies, or add pictures")
        )
        raise InputError(
            f"{printable(label)}: its {count} pictures are {what}; {rule} in one subset, which leaves none for "
            f"{in_words(missing)}; {remedy}"
        )
