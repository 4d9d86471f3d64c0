"""`python -m smallvision.learning_curve`: how much do pictures buy? Test accuracy against training pictures."""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from smallvision.errors import ParameterError, SurroundingsError, run
from smallvision.files import replacing, write_csv
from smallvision.params import Params, read_params

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


def check(params: Params, recipes: Sequence[str], limits: Sequence[int]) -> None:
    """Refuse what would fail after hours.

    Raises:
        ParameterError: there is no such recipe, or there are not so many pictures.
    """
    if missing := [name for name in recipes if name not in params.recipes]:
        raise ParameterError(f"--recipes: there is no {missing[0]!r}; known: {', '.join(params.recipes)}")
    if not params.split.by_share and max(limits) > params.split.counts["train"]:
        raise ParameterError(
            f"--limits: {max(limits)} is more than the {params.split.counts['train']} training pictures per class; "
            "raise split.train in params.yaml, or ask for less"
        )


def measure(params: Params, recipe: str, limit: int) -> Point:
    """Run an experiment in a copy of the project, unless there is one of the same code and parameters already.

    DVC's own run cache does not help here: it leaves out stages with files that Git keeps.

    Raises:
        SurroundingsError: the experiment failed. Its own message is on the terminal.
    """
    name = f"curve-{recipe.replace('_', '-')}-{limit}"
    wanted = _relevant(params.model_copy(update={"recipe": recipe, "train_limit": limit}))
    if not (found := _current(name, wanted)):
        if name in _output("dvc", "exp", "list", "--name-only").split():
            _output("dvc", "exp", "remove", name)
        changes = ["-S", f"recipe={recipe}", "-S", f"train_limit={limit}"]
        if subprocess.run(["dvc", "exp", "run", "--temp", "--name", name, *changes], check=False).returncode:
            raise SurroundingsError(f"experiment {name} failed, see above; those before it are kept, run this again")
        found = _current(name, wanted)
    training, test = (json.loads(_output("git", "show", f"{found}:metrics/{part}.json")) for part in ("train", "test"))
    return Point(recipe, limit, test["acc"], test["acc_low"], test["acc_high"], training["seconds"])


def _current(name: str, wanted: Params) -> str | None:
    """Return the commit of the experiment of that name, if it has the code of the moment and these parameters."""
    for commit in _output("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").split():
        code = ["git", "diff", "--quiet", commit, "--", "dvc.yaml", "requirements.txt", "smallvision", "stages"]
        if subprocess.run(code, check=False).returncode:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "params.yaml")
            path.write_text(_output("git", "show", f"{commit}:params.yaml"), encoding="utf-8")
            if _relevant(read_params(path)) == wanted:
                return commit
    return None


def _relevant(params: Params) -> Params:
    """Leave the other recipes out."""
    return params.model_copy(update={"recipes": {params.recipe: params.recipes[params.recipe]}})


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.strerror if isinstance(error, OSError) else "see above"
        raise SurroundingsError(
            f"`{' '.join(command)}` failed, {reason}; run this in the project's Git repository, with DVC on the path"
        ) from None


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
    limits_help = "training pictures per class; default: " + " ".join(map(str, LIMITS))
    parser.add_argument("--limits", nargs="+", type=int, default=LIMITS, help=limits_help)
    parser.add_argument("--curve", type=Path, default=Path("data/learning_curve.png"), help="default: %(default)s")
    arguments = parser.parse_args()
    if min(arguments.limits) < 1:
        parser.error(f"--limits: expected at least 1, received {min(arguments.limits)}")
    params = read_params()
    recipes = arguments.recipes or [params.recipe]
    check(params, recipes, arguments.limits)
    points: list[Point] = []
    for recipe in recipes:
        for limit in sorted(set(arguments.limits)):
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
