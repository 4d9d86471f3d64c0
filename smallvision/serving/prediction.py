"""What LiteRT's network says of pictures, as they come, without TensorFlow."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from smallvision.core.errors import UserError
from smallvision.data.pictures.decoding import to_checked_input
from smallvision.models.keras_file import Card
from smallvision.models.litert import Network
from smallvision.serving.inputs import read

BATCH = 8  # pictures; more are no faster
AHEAD = 64  # pictures that are decoded, or will be, before their turn

Row = list[tuple[str, float]]  # classes with their probabilities, the most probable first


def decoded(names: Sequence[str], image_size: int) -> Iterator[tuple[str, np.ndarray | UserError]]:
    """Yield each picture, or what is wrong with it, in order; threads decode the next ones meanwhile."""

    def load(name: str) -> np.ndarray | UserError:
        try:
            return to_checked_input(read(name), image_size)
        except UserError as error:
            return error

    cv2.setNumThreads(1)  # each thread takes a picture
    waiting: deque[tuple[str, Future[np.ndarray | UserError]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for name in names:
                waiting.append((name, pool.submit(load, name)))
                if len(waiting) == AHEAD:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _result(entry: tuple[str, Future[np.ndarray | UserError]]) -> tuple[str, np.ndarray | UserError]:
    return entry[0], entry[1].result()


def predict(
    network: Network, card: Card, names: Sequence[str], report: Callable[[str, UserError], None]
) -> Iterator[tuple[str, Row]]:
    """Yield every picture that can be read with its classes, in order, as they are computed.

    Args:
        network: the network.
        card: its card.
        names: files and addresses.
        report: called with each of the others and the reason.
    """
    for name, row in compute(network.probabilities, card.image_size, names, report):
        yield name, [(card.classes[index], float(row[index])) for index in np.argsort(-row, kind="stable")]


def compute(
    run: Callable[[np.ndarray], np.ndarray],
    image_size: int,
    names: Sequence[str],
    report: Callable[[str, UserError], None],
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every picture that can be read with its row of what `run` returns for a batch, in order."""
    batch: list[tuple[str, np.ndarray]] = []

    def computed() -> Iterator[tuple[str, np.ndarray]]:
        if batch:
            rows = run(np.stack([picture for _, picture in batch]))
            yield from zip([name for name, _ in batch], rows, strict=True)
            batch.clear()

    for name, picture in decoded(names, image_size):
        if isinstance(picture, UserError):
            report(name, picture)
        else:
            batch.append((name, picture))
            if len(batch) == BATCH:
                yield from computed()
    yield from computed()
