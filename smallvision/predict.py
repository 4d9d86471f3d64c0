"""`python -m smallvision.predict PICTURE…`: what do these pictures show?

Runs the network that `train` converted for LiteRT, without TensorFlow.
"""

import argparse
import csv
import io
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from smallvision.errors import InputError, NetworkError, UserError, printable, run
from smallvision.inputs import find, read
from smallvision.litert import Network, read_litert
from smallvision.modelfile import Card
from smallvision.pictures import to_checked_input

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
    batch: list[tuple[str, np.ndarray]] = []

    def computed() -> Iterator[tuple[str, Row]]:
        if batch:
            rows = network.probabilities(np.stack([picture for _, picture in batch]))
            for (name, _), row in zip(batch, rows, strict=True):
                yield name, [(card.classes[index], float(row[index])) for index in np.argsort(-row, kind="stable")]
            batch.clear()

    for name, picture in decoded(names, card.image_size):
        if isinstance(picture, UserError):
            report(name, picture)
        else:
            batch.append((name, picture))
            if len(batch) == BATCH:
                yield from computed()
    yield from computed()


def as_text(name: str, row: Row, width: int) -> str:
    """Write one line: what can be aligned first, then the name, however long."""
    columns = [f"{printable(label):{width}} {probability:6.1%}" for label, probability in row]
    return "  ".join([*columns, printable(name)])


def as_json(name: str, row: Row) -> str:
    """Write one JSON object."""
    each = {label: round(probability, 6) for label, probability in row}
    return json.dumps({"picture": name, "class": row[0][0], "probabilities": each})


def as_csv(name: str, row: Row) -> str:
    """Write a row a class."""
    text = io.StringIO()
    numbered = [(name, rank, label, f"{probability:.6f}") for rank, (label, probability) in enumerate(row, 1)]
    csv.writer(text, lineterminator="\n").writerows(numbered)
    return text.getvalue().rstrip("\n")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m smallvision.predict", description="What do these pictures show?")
    parser.add_argument(
        "pictures", nargs="+", metavar="PICTURE", help="a file, a folder, a quoted pattern such as 'holiday/**/*.jpg'"
    )
    parser.add_argument("--model", type=Path, default=Path("data/models/model.tflite"), help="default: %(default)s")
    parser.add_argument("--top-k", type=int, metavar="K", help="classes of each picture; default: 1, with --json all")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a line")
    output.add_argument("--csv", action="store_true", help="a header, then one row a class")
    parser.add_argument("--skip-bad", action="store_true", help="exit 0 though some pictures could not be read")
    parser.add_argument("--allow-urls", action="store_true", help="fetch pictures from http(s) addresses too")
    arguments = parser.parse_args()
    if arguments.top_k is not None and arguments.top_k < 1:
        parser.error("--top-k: expected at least 1")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    network, card = read_litert(arguments.model)
    names = find(arguments.pictures, allow_urls=arguments.allow_urls)
    top_k = arguments.top_k or (len(card.classes) if arguments.json else 1)
    width = max(len(printable(label)) for label in card.classes)
    write = as_json if arguments.json else as_csv if arguments.csv else partial(as_text, width=width)
    failures: list[UserError] = []

    def report(name: str, error: UserError) -> None:
        failures.append(type(error)(f"{name}: {error}"))
        if len(names) > 1:
            print(printable(f"predict: {failures[-1]}"), file=sys.stderr)

    if arguments.csv:
        print("picture,rank,class,probability")
    for name, row in predict(network, card, names, report):
        print(write(name, row[:top_k]), flush=True)
    if failures and len(names) == 1:
        raise failures[0]
    if failures and not (arguments.skip_bad and len(failures) < len(names)):
        # What is wrong with the network counts more than what is wrong with a picture.
        kind = NetworkError if any(isinstance(error, NetworkError) for error in failures) else InputError
        raise kind(f"{len(failures)} of {len(names)} pictures could not be read")


if __name__ == "__main__":
    run("predict", main)
