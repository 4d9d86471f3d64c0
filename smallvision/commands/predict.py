"""`python -m smallvision.predict PICTURE…`: what do these pictures show?

Runs the network that `train` converted for LiteRT, without TensorFlow.
"""

import argparse
import csv
import io
import json
import sys
from functools import partial
from pathlib import Path

from smallvision.core.errors import (
    InputError,
    NetworkError,
    ParameterError,
    SurroundingsError,
    UserError,
    printable,
    run,
)
from smallvision.models.litert import read_litert
from smallvision.serving.inputs import find
from smallvision.serving.prediction import Row, predict


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
    output.add_argument("--csv", action="store_true", help="a header, then a row for each of the K classes")
    output.add_argument("--parquet", type=Path, metavar="FOLDER", help="Parquet files; goes on after an interruption")
    parser.add_argument("--skip-bad", action="store_true", help="exit 0 though some pictures could not be read")
    parser.add_argument("--allow-urls", action="store_true", help="fetch pictures from http(s) addresses too")
    arguments = parser.parse_args()
    if arguments.top_k is not None and arguments.top_k < 1:
        parser.error("--top-k: expected at least 1")
    if arguments.top_k and arguments.parquet:
        parser.error("--top-k: Parquet files hold all classes")
    return arguments


def write_parquet(model: Path, names: list[str], folder: Path, *, skip_bad: bool) -> None:
    """Answer in Parquet files."""
    try:
        from smallvision.scaling.bulk import predict_all
    except ModuleNotFoundError as error:
        raise SurroundingsError(f"{error.name} is not installed; `make setup-sweep` installs it") from None
    count, bad = predict_all(model, names, folder)
    print(f"predict: {count} pictures in {folder}, {bad} could not be read")
    if bad and not (skip_bad and bad < count):
        raise InputError(f"{bad} of {count} pictures could not be read; the column `error` of {folder} says why")


def main() -> None:
    arguments = parse_arguments()
    network, card = read_litert(arguments.model)
    names = find(arguments.pictures, allow_urls=arguments.allow_urls)
    if arguments.parquet:
        write_parquet(arguments.model, names, arguments.parquet, skip_bad=arguments.skip_bad)
        return
    if card.features:
        raise ParameterError(f"{arguments.model}: gives features, no classes; write them with --parquet FOLDER")
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
