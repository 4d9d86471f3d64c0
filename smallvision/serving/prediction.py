"""Predict pictures with LiteRT, without TensorFlow, and yield each answer as soon as it is computed."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from smallvision.core.errors import UserError
from smallvision.data.pictures.decoding import to_checked_input
from smallvision.models.facts import ModelFacts
from smallvision.models.litert_network import Network
from smallvision.serving.inputs import read

BATCH = 8  # pictures; a larger batch is no faster
AHEAD = 64  # pictures that are decoded in advance, or wait for it, at most

Row = list[tuple[str, float]]  # the classes with their probabilities, the most probable first


def decode_all(names: Sequence[str], image_size: int) -> Iterator[tuple[str, np.ndarray | UserError]]:
    """Yield each picture or what is wrong with it, in order, while threads decode the next ones.

    Args:
        names: files and addresses.
        image_size: side that the pictures are resized to, pixels.

    Yields:
        The name, and the picture as uint8 `(size, size, 3)`, RGB, or the error.
    """

    def load(name: str) -> np.ndarray | UserError:
        try:
            return to_checked_input(read(name), image_size)
        except UserError as error:
            return error

    cv2.setNumThreads(1)  # the threads below work on one picture each
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
    network: Network, facts: ModelFacts, names: Sequence[str], report: Callable[[str, UserError], None]
) -> Iterator[tuple[str, Row]]:
    """Yield the name and the classes of each picture that can be read, in order.

    Args:
        network: a network that gives probabilities, not features.
        facts: the facts about it.
        names: files and addresses.
        report: is called with the name of each picture that cannot be read, and the reason.

    Yields:
        The name, and the classes with their probabilities in [0, 1], the most probable first.
    """
    for name, row in compute_outputs(network.probabilities, facts.image_size, names, report):
        yield name, [(facts.classes[index], float(row[index])) for index in np.argsort(-row, kind="stable")]


def compute_outputs(
    run: Callable[[np.ndarray], np.ndarray],
    image_size: int,
    names: Sequence[str],
    report: Callable[[str, UserError], None],
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each picture that can be read and its row of the outputs, in order.

    Args:
        run: takes a batch of uint8 pictures `(n, size, size, 3)`, RGB, and returns an output row for each, `(n, ...)`.
        image_size: side that the pictures are resized to, pixels.
        names: files and addresses.
        report: is called with the name of each picture that cannot be read, and the reason.
    """
    batch: list[tuple[str, np.ndarray]] = []

    def run_batch() -> Iterator[tuple[str, np.ndarray]]:
        if batch:
            rows = run(np.stack([picture for _, picture in batch]))
            yield from zip([name for name, _ in batch], rows, strict=True)
            batch.clear()

    for name, picture in decode_all(names, image_size):
        if isinstance(picture, UserError):
            report(name, picture)
        else:
            batch.append((name, picture))
            if len(batch) == BATCH:
                yield from run_batch()
    yield from run_batch()
