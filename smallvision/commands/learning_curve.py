"""`python -m smallvision.learning_curve`: how much do pictures buy? Test accuracy against training pictures."""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from smallvision.commands.dvc_and_git import output_of, split_pictures
from smallvision.core.errors import ParameterError, SurroundingsError, run
from smallvision.core.files import replacing, write_csv
from smallvision.core.params import Params, parse_params, read_params
from smallvision.data.pictures.manifest import read_manifest

LIMITS = (50, 100, 250, 500, 1000)
MARKS = "osD^vP*X"


@dataclass(frozen=True)
class Point:
    """What `recipe` reached with `pictures` training pictures per class: test accuracy and its 95% interval."""

    recipe: str
    pictures: int
    acc: float
    acc_low: float
    acc_high: float
    seconds: float  # of the training


def check(params: Params, recipes: Sequence[str]) -> None:
    """Refuse what would fail after hours.

    Raises:
        ParameterError: there is no such recipe.
    """
    if missing := [name for name in recipes if name not in params.recipes]:
        raise ParameterError(f"--recipes: there is no {missing[0]!r}; known: {', '.join(params.recipes)}")


def choose_limits(wanted: Sequence[int] | None, available: int) -> list[int]:
    """Return the counts to train with, the least first.

    Args:
        wanted: what was asked for; None: `LIMITS`, and all pictures in place of those that are more.
        available: training pictures of the largest class.

    Raises:
        ParameterError: there are not so many. A point that is named 500 and has 300 would say that more do not help.
    """
    if wanted is None:
        return sorted({min(limit, available) for limit in LIMITS})
    if max(wanted) > available:
        raise ParameterError(
            f"--limits: {max(wanted)} is more than the {available} training pictures of the largest class; "
            "raise split.train in params.yaml, or ask for less"
        )
    return sorted(set(wanted))


def measure(params: Params, recipe: str, limit: int) -> Point:
    """Run an experiment in a copy of the project, unless there is one of the same code and parameters already.

    DVC's own run cache does not help here: it leaves out stages with files that Git keeps.

    Raises:
        SurroundingsError: the experiment failed, with its own message on the terminal, or code or parameters changed.
    """
    name = f"curve-{recipe.replace('_', '-')}-{limit}"
    wanted = _relevant(params.model_copy(update={"recipe": recipe, "train_limit": limit}))
    if not (found := _current(name, wanted)):
        if name in output_of("dvc", "exp", "list", "--name-only").split():
            output_of("dvc", "exp", "remove", name)
        changes = ["-S", f"recipe={recipe}", "-S", f"train_limit={limit}"]
        if subprocess.run(["dvc", "exp", "run", "--temp", "--name", name, *changes], check=False).returncode:
            raise SurroundingsError(f"experiment {name} failed, see above; those before it are kept, run this again")
        if not (found := _current(name, wanted)):
            raise SurroundingsError(f"experiment {name}: code or parameters were changed while it ran; run this again")
    files = ("metrics/train.json", "metrics/test.json")
    training, test = (json.loads(output_of("git", "show", f"{found}:{file}")) for file in files)
    return Point(recipe, limit, test["acc"], test["acc_low"], test["acc_high"], training["seconds"])


def _current(name: str, wanted: Params) -> str | None:
    """Return the commit of the experiment of that name, if it has the code of the moment and these parameters."""
    for commit in output_of("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").split():
        code = ["git", "diff", "--quiet", commit, "--", "dvc.yaml", "requirements.txt", "smallvision", "stages"]
        if subprocess.run(code, check=False).returncode:
            continue
        if _relevant(parse_params(output_of("git", "show", f"{commit}:params.yaml"), Path("params.yaml"))) == wanted:
            return commit
    return None


def _relevant(params: Params) -> Params:
    """Leave the other recipes out."""
    return params.model_copy(update={"recipes": {params.recipe: params.recipes[params.recipe]}})


def draw(path: Path, points: Sequence[Point]) -> None:
    """Draw a line for each recipe as a PNG, the best first in the legend."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, PercentFormatter

    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    recipes = sorted({point.recipe for point in points}, key=lambda name: -_last(points, name).acc)
    for recipe, mark in zip(recipes, MARKS * len(recipes), strict=False):
        line = [point for point in points if point.recipe == recipe]
        counts, accuracies = [point.pictures for point in line], [point.acc for point in line]
        reach = [point.acc - point.acc_low for point in line], [point.acc_high - point.acc for point in line]
        axes.errorbar(counts, accuracies, reach, marker=mark, capsize=3, label=recipe)
    axes.set_xscale("log")
    ticks = sorted({point.pictures for point in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("training pictures per class")
    axes.set_ylabel("test accuracy, with its 95% interval")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _last(points: Sequence[Point], recipe: str) -> Point:
    return max((point for point in points if point.recipe == recipe), key=lambda point: point.pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m smallvision.learning_curve",
        description="How much do pictures buy? Trains on fewer and more of them, as experiments of DVC.",
    )
    parser.add_argument("--recipes", nargs="+", help="default: the one in params.yaml")
    limits_help = f"training pictures per class; default: {' '.join(map(str, LIMITS))}, or as many as there are"
    parser.add_argument("--limits", nargs="+", type=int, help=limits_help)
    parser.add_argument("--curve", type=Path, default=Path("data/learning_curve.png"), help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.limits and min(arguments.limits) < 1:
        parser.error(f"--limits: expected at least 1, received {min(arguments.limits)}")
    params = read_params()
    recipes = arguments.recipes or [params.recipe]
    check(params, recipes)
    split_pictures()
    counts = read_manifest(Path("data/pictures/manifest.json")).counts
    limits = choose_limits(arguments.limits, max(count["train"] for count in counts.values()))
    points: list[Point] = []
    for recipe in recipes:
        for limit in limits:
            points.append(measure(params, recipe, limit))
            # After each, so that there is something to look at for the hours that the rest may take.
            write_csv(
                arguments.curve.with_suffix(".csv"), [f.name for f in fields(Point)], [astuple(p) for p in points]
            )
            draw(arguments.curve, points)
    print(f"{'recipe':20} {'pictures':>8} {'test accuracy':>13} {'95% interval':>16} {'training':>10}")
    for point in points:
        interval = f"{point.acc_low:.1%} to {point.acc_high:.1%}"
        print(f"{point.recipe:20} {point.pictures:8} {point.acc:13.1%} {interval:>16} {point.seconds:8.0f} s")
    print(f"learning_curve: {arguments.curve}, {arguments.curve.with_suffix('.csv')}")


if __name__ == "__main__":
    run("learning_curve", main)
