"""`smallvision predict PICTURE…`: what do these pictures show?

It runs the network that `train` converted for LiteRT, without TensorFlow.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from smallvision.core.errors import InputError, NetworkError, ParameterError, SurroundingsError, UserError, printable
from smallvision.models.litert import read_litert
from smallvision.serving.inputs import find
from smallvision.serving.prediction import Row, predict


def format_text(name: str, row: Row, width: int) -> str:
    """Return one line for a picture. The name comes last because it may have any length."""
    columns = [f"{printable(label):{width}} {probability:6.1%}" for label, probability in row]
    return "  ".join([*columns, printable(name)])


def format_json(name: str, row: Row) -> str:
    """Return one JSON object for a picture."""
    each = {label: round(probability, 6) for label, probability in row}
    return json.dumps({"picture": name, "class": row[0][0], "probabilities": each})


def format_csv(name: str, row: Row) -> str:
    """Return a CSV row for each class of a picture."""
    text = io.StringIO()
    numbered = [(name, rank, label, f"{probability:.6f}") for rank, (label, probability) in enumerate(row, 1)]
    csv.writer(text, lineterminator="\n").writerows(numbered)
    return text.getvalue().rstrip("\n")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="smallvision predict", description="What do these pictures show?")
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
    chosen = parser.parse_args(arguments)
    if chosen.top_k is not None and chosen.top_k < 1:
        parser.error("--top-k: expected at least 1")
    if chosen.top_k and chosen.parquet:
        parser.error("--top-k: Parquet files hold all classes")
    return chosen


def write_parquet(model: Path, names: list[str], folder: Path, *, skip_bad: bool) -> None:
    """Write the predictions, or the features, of all pictures to Parquet files.

    Raises:
        SurroundingsError: PyArrow is not installed.
        InputError: pictures could not be read, and `skip_bad` does not allow that.
    """
    try:
        from smallvision.scaling.bulk import predict_all
    except ModuleNotFoundError as error:
        raise SurroundingsError(f"{error.name} is not installed; `make setup-sweep` installs it") from None
    count, bad = predict_all(model, names, folder)
    print(f"predict: {count} pictures in {folder}, {bad} could not be read")
    if bad and not (skip_bad and bad < count):
        raise InputError(f"{bad} of {count} pictures could not be read; the column `error` of {folder} says why")


def main(arguments: Sequence[str]) -> None:
    chosen = parse_arguments(arguments)
    network, facts = read_litert(chosen.model)
    names = find(chosen.pictures, allow_urls=chosen.allow_urls)
    if chosen.parquet:
        write_parquet(chosen.model, names, chosen.parquet, skip_bad=chosen.skip_bad)
        return
    if facts.features:
        raise ParameterError(f"{chosen.model}: gives features, no classes; write them with --parquet FOLDER")
    top_k = chosen.top_k or (len(facts.classes) if chosen.json else 1)
    width = max(len(printable(label)) for label in facts.classes)
    write = format_json if chosen.json else format_csv if chosen.csv else partial(format_text, width=width)
    failures: list[UserError] = []

    def report(name: str, error: UserError) -> None:
        failures.append(type(error)(f"{name}: {error}"))
        if len(names) > 1:
            print(printable(f"predict: {failures[-1]}"), file=sys.stderr)

    if chosen.csv:
        print("picture,rank,class,probability")
    for name, row in predict(network, facts, names, report):
        print(write(name, row[:top_k]), flush=True)
    if failures and len(names) == 1:
        raise failures[0]
    if failures and not (chosen.skip_bad and len(failures) < len(names)):
        # If the network failed for one picture and another picture is damaged, the exit code is the network's.
        kind = NetworkError if any(isinstance(error, NetworkError) for error in failures) else InputError
        raise kind(f"{len(failures)} of {len(names)} pictures could not be read")
