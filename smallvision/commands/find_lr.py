"""`python -m smallvision.find_lr`: which `lr` for the chosen recipe? A range test, and its curve."""

import argparse
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import DivergedError, run
from smallvision.core.files import replacing
from smallvision.core.params import Params, read_params
from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models import backbones
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.training import devices
from smallvision.training.run import fit_options, input_size

if TYPE_CHECKING:
    import keras

    from smallvision.data.pictures.batches import Inputs

LOWEST, HIGHEST = 1e-7, 10.0
SMOOTHING = 0.9  # share of the smoothed loss that the next step keeps
DIVERGED = 4  # times the least loss


def range_test(step: Callable[[float], float], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Train with a step size that grows from step to step, until the loss runs away.

    Args:
        step: takes one training step of a size and returns the loss of its batch.
        steps: number of steps from `LOWEST` to `HIGHEST`.

    Returns:
        The step sizes, and the smoothed loss at each, both float64 `(n,)` with n <= `steps`.

    Raises:
        DivergedError: the loss was no number from the first step on.

    Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
    """
    rates, average = np.geomspace(LOWEST, HIGHEST, steps), 0.0
    losses: list[float] = []
    for index, rate in enumerate(rates.tolist()):
        loss = step(rate)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (index + 1))  # of a start at 0, as in Adam
        if not math.isfinite(loss) or (losses and smoothed > DIVERGED * min(losses)):
            break
        losses.append(smoothed)
    if not losses:
        raise DivergedError(f"the loss is no number at lr {LOWEST:g}; check the pictures and `weights`")
    return rates[: len(losses)], np.array(losses)


def suggest(rates: np.ndarray, losses: np.ndarray) -> float:
    """Return a tenth of the step size with the least smoothed loss: there the loss still falls fast.

    Source: J. Howard and S. Gugger, *Deep Learning for Coders with fastai and PyTorch*, 2020, chapter 5.
    """
    return float(rates[losses.argmin()]) / 10


def find(params: Params, folder: Path, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run the range test on the training pictures: the whole network, or the head on a frozen base."""
    recipe = params.recipes[params.recipe]
    image_size = input_size(params)
    manifest = read_manifest(folder / "manifest.json").limit_train(params.train_limit)
    pictures, labels = Pictures(folder, manifest.subset("train"), image_size), np.array(manifest.labels("train"))
    import_tensorflow()
    import keras

    from smallvision.data.pictures.batches import training_batches
    from smallvision.training.balance import weigher
    from smallvision.training.fitting import compile_network, label_columns, make_optimizer

    devices.choose(params.device)
    options = fit_options(params, labels)
    with own_errors(pictures):
        keras.utils.set_random_seed(params.seed)
        if options["precision"] == "bfloat16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        inputs, model = _build(params, pictures, len(manifest.classes))
        compile_network(model, make_optimizer(recipe.optimizer, LOWEST, recipe.weight_decay), recipe.label_smoothing)
        columns = label_columns(labels, model.output_shape[-1])
        augment = recipe.augment if not recipe.backbone else None
        found = training_batches(inputs, columns, options["batch_size"], params.seed, augment)
        if options["class_weight"]:
            found = found.map(weigher(options["class_weight"]))
        batches = iter(islice(found, steps))

        def step(rate: float) -> float:
            model.optimizer.learning_rate.assign(rate)
            model.reset_metrics()
            return float(model.train_on_batch(*next(batches))[0])

        return range_test(step, steps)


def _build(params: Params, pictures: Pictures, class_count: int) -> tuple["Inputs", "keras.Model"]:
    """Return what is trained first: its inputs and the network."""
    from smallvision.training.features import compute_features
    from smallvision.training.networks import NETWORKS
    from smallvision.training.transfer import Head

    recipe, size = params.recipes[params.recipe], pictures.shape[1]
    if not recipe.backbone:
        augmented_size = recipe.augment.size if recipe.augment else None
        return pictures, NETWORKS[recipe.network](augmented_size or size, class_count, recipe.dropout)
    head = Head(recipe.pooling, recipe.units, recipe.dropout)
    base = head.pool(backbones.build(recipe.backbone, recipe.weights, size))
    return compute_features(base, pictures), head.build(base.output_shape[-1], class_count)


def draw(path: Path, rates: np.ndarray, losses: np.ndarray, suggestion: float) -> None:
    """Draw the curve as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.semilogx(rates, losses, color="black")
    axes.axvline(suggestion, color="black", linestyle="--", label=f"suggestion: {suggestion:.1e}")
    axes.set_xlabel("lr")
    axes.set_ylabel("loss of the training batches, smoothed")
    axes.legend()
    with replacing(path) as part:
        figure.savefig(part, format="png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m smallvision.find_lr", description="Which lr for this recipe?")
    parser.add_argument("--pictures", type=Path, default=Path("data/pictures"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=200, help="training steps; default: %(default)s")
    parser.add_argument("--curve", type=Path, default=Path("data/find_lr.png"), help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.steps < 10:
        parser.error(f"--steps: expected at least 10, received {arguments.steps}")
    params = read_params()
    recipe = params.recipes[params.recipe]
    rates, losses = find(params, arguments.pictures, arguments.steps)
    suggestion = suggest(rates, losses)
    draw(arguments.curve, rates, losses, suggestion)
    key = f"recipes.{params.recipe}.lr" if recipe.lr else "lr"
    print(f"find_lr: {params.recipe}: the loss was least at lr {suggestion * 10:.1e}; the curve is {arguments.curve}")
    print(f"find_lr: try `dvc exp run -S {key}={suggestion:.1e}`; now it is {recipe.lr or params.lr:.1e}")


if __name__ == "__main__":
    run("find_lr", main)
