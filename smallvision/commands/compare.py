"""`smallvision compare REV_A REV_B`: is one revision better on the same test pictures, or was it luck?"""

import argparse
import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from smallvision.core.errors import InputError, ParameterError, shorten

if TYPE_CHECKING:
    from smallvision.evaluation.intervals import Pairs

PREDICTIONS = "metrics/plots/predictions.csv"
Key = tuple[str, str, str]  # path, hash and class of a picture


def read_predictions(rev: str) -> dict[Key, bool]:
    """Return for each test picture whether the prediction was right.

    Args:
        rev: a Git revision, the name of a DVC experiment, or `workspace`.

    Raises:
        ParameterError: there is no such revision here.
        InputError: the revision has no predictions, or another version wrote them.
    """
    import dvc.api
    from dvc.exceptions import DvcException, PathMissingError
    from dvc.scm import RevError

    try:
        text = dvc.api.read(PREDICTIONS, rev=None if rev == "workspace" else rev, encoding="utf-8")
    except RevError:
        raise ParameterError(
            f"{rev}: unknown; expected a Git revision, an experiment that `dvc exp show` lists, or `workspace`"
        ) from None
    except (PathMissingError, FileNotFoundError):
        raise InputError(f"{rev}: has no {PREDICTIONS}; `dvc repro` or `dvc exp run` makes it") from None
    except DvcException as error:
        raise ParameterError(f"{rev}: {error}; run this in the project's folder") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        return {(row["picture"], row["sha256"], row["actual"]): row["actual"] == row["predicted"] for row in rows}
    except (KeyError, csv.Error) as error:
        raise InputError(f"{rev}: {PREDICTIONS} is none of this version ({error}); `dvc repro -f` makes it") from None


def count_pairs(rev_a: str, rev_b: str) -> "Pairs":
    """Count on how many pictures both revisions, one of them, or neither was right.

    Raises:
        ParameterError: a revision is unknown.
        InputError: the two were not tested on the same pictures.
    """
    from smallvision.evaluation.intervals import Pairs

    a, b = read_predictions(rev_a), read_predictions(rev_b)
    if a.keys() != b.keys() or not a:
        common = len(a.keys() & b.keys())
        raise InputError(
            f"{rev_a} was tested on {len(a)} pictures, {rev_b} on {len(b)}, of which {common} are the same; "
            "expected the same ones: give both the same source and split"
        )
    counts = Counter((right, b[key]) for key, right in a.items())
    return Pairs(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def summarise(pairs: "Pairs") -> dict[str, float]:
    """Return all numbers of the comparison. Accuracies are shares from 0 to 1."""
    from smallvision.evaluation.intervals import difference_interval, mcnemar, wilson

    summary: dict[str, float] = {"n": pairs.n}
    for name, right in (("a", pairs.both + pairs.only_a), ("b", pairs.both + pairs.only_b)):
        low, high = wilson(right, pairs.n)
        summary |= {f"acc_{name}": right / pairs.n, f"acc_{name}_low": low, f"acc_{name}_high": high}
    low, high = difference_interval(pairs)
    difference = (pairs.only_b - pairs.only_a) / pairs.n
    summary |= {"difference": difference, "difference_low": low, "difference_high": high, "p": mcnemar(pairs)}
    rounded = {key: float(f"{value:.4g}") if key == "p" else round(value, 4) for key, value in summary.items()}
    return rounded | asdict(pairs)


def format_table(rev_a: str, rev_b: str, numbers: Mapping[str, float]) -> str:
    """Return the numbers as a table for a person, within 80 columns."""
    lines = [f"accuracy on the same {numbers['n']} test pictures, with 95% intervals"]
    for name, rev in (("a", rev_a), ("b", rev_b)):
        accuracy, low, high = (numbers[f"acc_{name}{end}"] for end in ("", "_low", "_high"))
        lines.append(f"{name.upper()}  {shorten(rev, 36):36} {accuracy:8.1%}  ({low:.1%} to {high:.1%})")
    difference, low, high = (100 * numbers[f"difference{end}"] for end in ("", "_low", "_high"))
    lines += [
        f"{'B - A':39} {difference:+7.1f}   ({low:+.1f} to {high:+.1f}) points",
        f"{'exact McNemar test':39} p = {numbers['p']:.2g}",
        "",
        f"{'pictures':12} {'A right':>9} {'A wrong':>9}",
        f"{'B right':12} {numbers['both']:9} {numbers['only_b']:9}",
        f"{'B wrong':12} {numbers['only_a']:9} {numbers['neither']:9}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="smallvision compare",
        description="Is one revision better on the same test pictures, or was it luck?",
        epilog="A revision is one of Git's, the name of a DVC experiment, or `workspace`.",
    )
    parser.add_argument("rev_a", metavar="REV_A")
    parser.add_argument("rev_b", metavar="REV_B")
    parser.add_argument("--json", action="store_true", help="one JSON object, shares of 1")
    chosen = parser.parse_args(arguments)
    numbers = summarise(count_pairs(chosen.rev_a, chosen.rev_b))
    if chosen.json:
        print(json.dumps({"a": chosen.rev_a, "b": chosen.rev_b, **numbers}))
    else:
        print(format_table(chosen.rev_a, chosen.rev_b, numbers))
