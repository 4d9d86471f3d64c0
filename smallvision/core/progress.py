"""How far a long piece of work is, for a person who waits: a bar on a terminal, otherwise a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from smallvision.core.errors import duration

Item = TypeVar("Item")
EVERY = 10.0  # seconds between two lines


def show_progress(items: Iterable[Item], shown: str, total: int, unit: str = "picture") -> Iterator[Item]:
    """Yield the items, and show on stderr how many there were, and how long the others will take.

    Args:
        items: what the work goes over.
        shown: what the items are, such as `training pictures`.
        total: how many there are.
        unit: what one of them is called in the bar.
    """
    from tqdm import tqdm

    if sys.stderr.isatty():
        yield from tqdm(items, shown, total, unit=unit, leave=False)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= EVERY and count < total:
            left = duration((now - start) / count * (total - count))
            print(f"{shown}: {count} of {total}, {left} left", file=sys.stderr, flush=True)
            last = now
