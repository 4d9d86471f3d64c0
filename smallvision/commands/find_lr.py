"""`smallvision find_lr`: which `lr` suits the chosen recipe? A learning-rate range test, and its curve."""

import argparse
import math
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import DivergedError, ParameterError
from smallvision.core.files import replacing
from smallvision.core.params_file import read_params
from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models import backbones
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.training.hardware import settle
from smallvision.training.plan import Plan, resolve

if TYPE_CHECKING:
    import keras

    from smallvision.data.pictures.loading import Examples

LOWEST, HIGHEST = 1e-7, 10.0
SMOOTHING = 0.9  # the share of the smoothed loss that is kept from one step to the next
DIVERGED = 4  # the test ends when the smoothed loss is this many times its least value


def range_test(step: Callable[[float], float], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Train with a learning rate that grows from step to step, until the loss runs away.

    Args:
        step: takes one training step at a learning rate and returns the loss of its batch.
        steps: number of steps from `LOWEST` to `HIGHEST`.

    Returns:
        The learning rates and the smoothed loss at each, both float64 `(n,)` with n <= `steps`.

    Raises:
        DivergedError: the very first loss was not a number.

    Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
    """
    rates, average = np.geomspace(LOWEST, HIGHEST, steps), 0.0
    losses: list[float] = []
    for index, rate in enumerate(rates.tolist()):
        loss = step(rate)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (index + 1))  # corrects for the start at 0, as Adam does
        if not math.isfinite(loss) or (losses and smoothed > DIVERGED * min(losses)):
            break
        losses.append(smoothed)
    if not losses:
        raise DivergedError(f"the loss is no number at lr {LOWEST:g}; check the pictures and `weights`")
    return rates[: len(losses)], np.array(losses)


def suggest_lr(rates: np.ndarray, losses: np.ndarray) -> float:
    """Return a tenth of the learning rate with the least smoothed loss. The loss still falls fast there.

    Source: J. Howard and S. Gugger, *Deep Learning for Coders with fastai and PyTorch*, 2020, chapter 5.
    """
    return float(rates[losses.argmin()]) / 10


def measure_losses(plan: Plan, folder: Path, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run the range test on training pictures, and return learning rates and losses as `range_test` does.

    It trains the whole network or, if the plan has a pretrained base, the head on the frozen base.

    Args:
        plan: how to train. Its learning rate and schedule are not used.
        folder: the pictures as `split` wrote them.
        steps: number of training steps.
    """
    manifest = read_manifest(folder / "manifest.json").limit_train(plan.train_limit)
    pictures, labels = Pictures(folder, manifest.subset("train"), plan.image_size), np.array(manifest.labels("train"))
    import_tensorflow()
    import keras

    from smallvision.training.batches import balanced_weights, training_batches, weigher
    from smallvision.training.fitting import compile_network, label_columns
    from smallvision.training.optimizers import make_optimizer

    plan = settle(plan)
    with own_errors(pictures):
        keras.utils.set_random_seed(plan.seed)
        if plan.precision == "bfloat16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        examples, network = _build(plan, pictures, len(manifest.classes))
        compile_network(network, make_optimizer(plan.recipe, LOWEST), plan.recipe.label_smoothing)
        columns = label_columns(labels, network.output_shape[-1])
        augment = None if plan.recipe.backbone else plan.augment
        found = training_batches(examples, columns, plan.batch_size, plan.seed, augment)
        if plan.class_weights == "balanced":
            found = found.map(weigher(balanced_weights(labels)))
        batches = iter(islice(found, steps))

        def step(rate: float) -> float:
            network.optimizer.learning_rate.assign(rate)
            network.reset_metrics()
            return float(network.train_on_batch(*next(batches))[0])

        return range_test(step, steps)


def _build(plan: Plan, pictures: Pictures, class_count: int) -> tuple["Examples", "keras.Model"]:
    """Return what the first phase of the training fits: its inputs and the network."""
    from smallvision.training.features import compute_features
    from smallvision.training.recipe import NETWORKS
    from smallvision.training.transfer import freeze_and_pool

    recipe = plan.recipe
    if not recipe.backbone:
        augmented_size = plan.augment.size if plan.augment else None
        return pictures, NETWORKS[recipe.network](augmented_size or plan.image_size, class_count, recipe.dropout)
    base, head = freeze_and_pool(backbones.build(recipe.backbone, recipe.weights, plan.image_size), recipe, class_count)
    return compute_features(base, pictures, "training pictures"), head.build()


def draw_losses(path: Path, rates: np.ndarray, losses: np.ndarray, suggestion: float) -> None:
    """Draw the loss against the learning rate, as a PNG."""
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


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="smallvision find_lr", description="Which lr for this recipe?")
    parser.add_argument("--pictures", type=Path, default=Path("data/pictures"), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=200, help="training steps; default: %(default)s")
    parser.add_argument("--curve", type=Path, default=Path("data/find_lr.png"), help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    if chosen.steps < 10:
        parser.error(f"--steps: expected at least 10, received {chosen.steps}")
    plan = resolve(read_params())
    if plan.recipe.head == "logistic":
        raise ParameterError(f"params.yaml: recipe {plan.name} has head: logistic, which has no learning rate")
    rates, losses = measure_losses(plan, chosen.pictures, chosen.steps)
    suggestion = suggest_lr(rates, losses)
    draw_losses(chosen.curve, rates, losses, suggestion)
    key = f"recipes.{plan.name}.lr" if plan.recipe.lr else "lr"
    print(f"find_lr: {plan.name}: the loss was least at lr {suggestion * 10:.1e}; the curve is {chosen.curve}")
    print(f"find_lr: try `dvc exp run -S {key}={suggestion:.1e}`; now it is {plan.lr:.1e}")
