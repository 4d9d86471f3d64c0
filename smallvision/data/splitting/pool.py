"""Sort the pictures of a source by what becomes of them, and put those of each class in order."""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import itemgetter

from tqdm import tqdm

from smallvision.core.errors import InputError, ParameterError, in_words, printable
from smallvision.core.params_file import no_such
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.files import SourceFiles
from smallvision.data.splitting.reasons import NOT_A_CLASS


@dataclass(frozen=True)
class Pool:
    """The pictures of a source, by what becomes of them.

    Attributes:
        labelled: for each class, in sorted order, its pictures, which are to be shared out.
        unlabelled: the pictures that have no label.
        left_out: the pictures that take no part, with their reasons.
        given: the subsets among `validation` and `test` that come with labelled pictures.
    """

    labelled: Mapping[str, Sequence[Row]]
    unlabelled: Sequence[Row]
    left_out: Sequence[Row]
    given: Sequence[str]


def sort_rows(reading: Reading, classes: Sequence[str] | None) -> Pool:
    """Sort the pictures that a reader has found.

    Args:
        reading: what the source holds.
        classes: the parameter `classes`.

    Raises:
        ParameterError: `classes` names a class that the source does not have.
        InputError: there are fewer than two classes, or no pictures that could be trained on.
    """
    known = reading.classes
    if unknown := [name for name in classes or () if name not in known]:
        raise ParameterError(f"params.yaml: classes: {printable(no_such(unknown[0], known))}")
    names = sorted(classes or known)
    if len(names) < 2:
        raise InputError(f"expected pictures of at least two classes, found {printable(', '.join(names)) or 'none'}")
    labelled: dict[str, list[Row]] = {name: [] for name in names}
    unlabelled, left_out = [], []
    for row in reading.rows:
        if row.left_out is not None:
            left_out.append(row)
        elif row.label is None:
            unlabelled.append(row)
        elif row.label in labelled:
            labelled[row.label].append(row)
        else:
            left_out.append(replace(row, left_out=NOT_A_CLASS))
    subsets = {row.subset for rows in labelled.values() for row in rows}
    given = [subset for subset in SUBSETS if subset in subsets and subset != "train"]
    if subsets <= set(given):
        raise InputError(
            f"all labelled pictures are for {in_words(given)}, so that none are left to train on; add pictures for "
            "training, or set `split.subsets: new` in params.yaml to share all of them out"
        )
    return Pool(labelled, unlabelled, left_out, given)


def order_by_bytes(files: SourceFiles, pool: Pool, seed: int) -> Pool:
    """Put the pictures of each class in an order by chance, in which their names do not matter.

    The order is that of the SHA-256 of the seed and the SHA-256 of a picture, so it is the same on every machine, and
    more pictures do not change the order of those that are there.

    Raises:
        InputError: the archive is damaged.
    """

    def key_of(row: Row) -> bytes:
        return hashlib.sha256(f"{seed} {hashlib.sha256(files.read(row.path)).hexdigest()}".encode()).digest()

    ordered: dict[str, list[Row]] = {}
    total = sum(map(len, pool.labelled.values()))
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,  # Unpacking and hashing release the interpreter lock.
        tqdm(total=total, unit="picture", desc="order", disable=not sys.stderr.isatty()) as bar,
    ):
        for label, rows in pool.labelled.items():
            pairs = []
            for pair in zip(threads.map(key_of, rows), rows, strict=True):
                pairs.append(pair)
                bar.update()
            ordered[label] = [row for _, row in sorted(pairs, key=itemgetter(0))]
    return replace(pool, labelled=ordered)
