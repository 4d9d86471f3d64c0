"""`smallvision learning_curve`: how much would more pictures help? Test accuracy against training pictures."""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from smallvision.commands.dvc_and_git import output_of, split_pictures
from smallvision.core.errors import ParameterError, SurroundingsError
from smallvision.core.files import replacing, write_csv
from smallvision.core.params import Params
from smallvision.core.params_file import parse_params, read_params
from smallvision.data.pictures.manifest import read_manifest
from smallvision.training.code import code_paths

LIMITS = (50, 100, 250, 500, 1000)
MARKS = "osD^vP*X"
STAGES = ("fetch", "split", "train", "evaluate")


@dataclass(frozen=True)
class Point:
    """The test accuracy that a recipe reached with some number of training pictures.

    `pictures` counts the training pictures of each class, `acc_low` and `acc_high` are the ends of the accuracy's 95%
    interval, and `seconds` is the time of the training.
    """

    recipe: str
    pictures: int
    acc: float
    acc_low: float
    acc_high: float
    seconds: float


def require_recipes(params: Params, recipes: Sequence[str]) -> None:
    """Refuse unknown recipes at once, before the others have trained for hours.

    Raises:
        ParameterError: there is no such recipe.
    """
    if missing := [name for name in recipes if name not in params.recipes]:
        raise ParameterError(f"--recipes: there is no {missing[0]!r}; known: {', '.join(params.recipes)}")


def choose_limits(wanted: Sequence[int] | None, available: int) -> list[int]:
    """Return how many training pictures per class to train with, the smallest number first.

    Args:
        wanted: what the user asked for; None: those of `LIMITS` that can be had, and all pictures if there are fewer.
        available: training pictures of the largest class.

    Raises:
        ParameterError: there are not so many. A point that is named 500 and has 300 pictures would say that more do
            not help.
    """
    if wanted is None:
        return sorted({min(limit, available) for limit in LIMITS})
    if max(wanted) > available:
        raise ParameterError(
            f"--limits: {max(wanted)} is more than the {available} training pictures of the largest class; "
            "raise split.train in params.yaml, or ask for less"
        )
    return sorted(set(wanted))


def measure_point(params: Params, recipe: str, limit: int) -> Point:
    """Run an experiment in a copy of the project, unless one with the same code and parameters is there already.

    DVC's own run cache does not help here, because it leaves out stages that write files which Git keeps.

    Raises:
        SurroundingsError: the experiment failed, with its own message on the terminal, or somebody changed code or
            parameters while it ran.
    """
    name = f"curve-{recipe.replace('_', '-')}-{limit}"
    wanted = _without_other_recipes(params.model_copy(update={"recipe": recipe, "train_limit": limit}))
    if not (found := _find_experiment(name, wanted)):
        if name in output_of("dvc", "exp", "list", "--name-only").split():
            output_of("dvc", "exp", "remove", name)
        changes = ["-S", f"recipe={recipe}", "-S", f"train_limit={limit}"]
        if subprocess.run(["dvc", "exp", "run", "--temp", "--name", name, *changes], check=False).returncode:
            raise SurroundingsError(f"experiment {name} failed, see above; those before it are kept, run this again")
        if not (found := _find_experiment(name, wanted)):
            raise SurroundingsError(f"experiment {name}: code or parameters were changed while it ran; run this again")
    files = ("metrics/train.json", "metrics/test.json")
    training, test = (json.loads(output_of("git", "show", f"{found}:{file}")) for file in files)
    return Point(recipe, limit, test["acc"], test["acc_low"], test["acc_high"], training["seconds"])


def _find_experiment(name: str, wanted: Params) -> str | None:
    """Return the commit of the experiment of that name if it ran the present code with these parameters."""
    code = sorted({path for stage in STAGES for path in code_paths(stage)})
    for commit in output_of("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").split():
        same_code = ["git", "diff", "--quiet", commit, "--", "dvc.yaml", "requirements.txt", *code]
        if subprocess.run(same_code, check=False).returncode:
            continue
        params = parse_params(output_of("git", "show", f"{commit}:params.yaml"), Path("params.yaml"))
        if _without_other_recipes(params) == wanted:
            return commit
    return None


def _without_other_recipes(params: Params) -> Params:
    """Leave out the recipes that are not trained, because editing them changes nothing."""
    return params.model_copy(update={"recipes": {params.recipe: params.recipes[params.recipe]}})


def draw_curve(path: Path, points: Sequence[Point]) -> None:
    """Draw a line for each recipe, as a PNG. The legend names the best recipe first."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, PercentFormatter

    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    recipes = sorted({point.recipe for point in points}, key=lambda name: -_last_point(points, name).acc)
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


def _last_point(points: Sequence[Point], recipe: str) -> Point:
    return max((point for point in points if point.recipe == recipe), key=lambda point: point.pictures)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="smallvision learning_curve",
        description="How much do pictures buy? Trains on fewer and more of them, as experiments of DVC.",
    )
    parser.add_argument("--recipes", nargs="+", help="default: the one in params.yaml")
    limits_help = f"training pictures per class; default: {' '.join(map(str, LIMITS))}, or as many as there are"
    parser.add_argument("--limits", nargs="+", type=int, help=limits_help)
    parser.add_argument("--curve", type=Path, default=Path("data/learning_curve.png"), help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    if chosen.limits and min(chosen.limits) < 1:
        parser.error(f"--limits: expected at least 1, received {min(chosen.limits)}")
    return chosen


def main(arguments: Sequence[str]) -> None:
    chosen = parse_arguments(arguments)
    params = read_params()
    recipes = chosen.recipes or [params.recipe]
    require_recipes(params, recipes)
    split_pictures()
    counts = read_manifest(Path("data/pictures/manifest.json")).counts
    limits = choose_limits(chosen.limits, max(count["train"] for count in counts.values()))
    table = chosen.curve.with_suffix(".csv")
    points: list[Point] = []
    for recipe in recipes:
        for limit in limits:
            points.append(measure_point(params, recipe, limit))
            # Both files are written after each point, so that there is something to look at while the rest trains.
            write_csv(table, [field.name for field in fields(Point)], [astuple(point) for point in points])
            draw_curve(chosen.curve, points)
    print(f"{'recipe':20} {'pictures':>8} {'test accuracy':>13} {'95% interval':>16} {'training':>10}")
    for point in points:
        interval = f"{point.acc_low:.1%} to {point.acc_high:.1%}"
        print(f"{point.recipe:20} {point.pictures:8} {point.acc:13.1%} {interval:>16} {point.seconds:8.0f} s")
    print(f"learning_curve: {chosen.curve}, {table}")
