"""`smallvision estimate`: about how long will the pipeline take on this machine? It times a few steps of each kind."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import ParameterError, duration
from smallvision.core.params import Params
from smallvision.core.params_file import read_params
from smallvision.data.pictures.manifest import SUBSETS, read_manifest
from smallvision.data.sources import drawn
from smallvision.data.sources.names import name_of
from smallvision.data.splitting.duplicates import appearance_of
from smallvision.models import backbones
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.training.hardware import settle
from smallvision.training.plan import Plan, resolve

if TYPE_CHECKING:
    import keras

TRIED = 16  # pictures that are drawn and passed through a base
STEPS = 4  # training steps that are timed, after one that compiles the network
DRAWN = {"drawn": drawn.DRAWN, "drawn3": drawn.DRAWN3}


@dataclass(frozen=True)
class Counts:
    """The pictures of each subset, and the number of classes."""

    train: int
    validation: int
    test: int
    classes: int


@dataclass(frozen=True)
class Costs:
    """What was timed, in seconds of one picture: a training step, an answer, and the features of a frozen base."""

    step: float = 0.0
    answer: float = 0.0
    features: float = 0.0


def count_pictures(params: Params, folder: Path) -> Counts | None:
    """Return how many pictures there will be, or None if nobody knows before `split` has run.

    They follow from the parameters if the source is drawn here, and otherwise from what `split` has written.
    """
    sizes, species = params.split.sizes, DRAWN.get(params.source)
    if species:
        limit = params.train_limit or max(species.values())
        found = {
            subset: [round(size * count) if params.split.by_share else int(size) for count in species.values()]
            for subset, size in sizes.items()
        }
        train = sum(min(count, limit) for count in found["train"])
        return Counts(train, sum(found["validation"]), sum(found["test"]), len(species))
    path = folder / "manifest.json"
    if not path.is_file():
        return None
    manifest = read_manifest(path).limit_train(params.train_limit)
    if manifest.source != name_of(params.source):
        return None
    train, validation, test = (len(manifest.subset(subset)) for subset in SUBSETS)
    return Counts(train, validation, test, len(manifest.classes))


def time_drawing() -> float:
    """Return the seconds that drawing a picture and looking for its copies take, if all cores do so."""

    def draw() -> None:
        for number in range(TRIED):
            appearance_of(drawn.draw_picture("cat", np.random.default_rng(number)))

    draw()  # imports what drawing needs
    return timeit(draw, number=1) / TRIED / (os.cpu_count() or 1)


def time_base(plan: Plan) -> float:
    """Return the seconds that a picture takes in the frozen base of a plan, as the train stage runs it.

    The base stays converted in the user's cache, where the training finds it.
    """
    from smallvision.training.features import converted
    from smallvision.training.transfer import freeze_and_pool

    base, _ = freeze_and_pool(_build_base(plan), plan.recipe, 2)
    pictures = _noise(TRIED, plan.image_size)
    run: Callable[[], object] = partial(converted(base, pictures).outputs, pictures)
    if plan.device == "gpu":  # there TensorFlow computes the features
        run = partial(base.predict_on_batch, (pictures / 255).astype(np.float32))
    run()  # makes the interpreters of all cores, or TensorFlow's graph
    return timeit(run, number=1) / TRIED


def time_steps(plan: Plan, classes: int) -> Costs:
    """Return what a picture costs in training and in validation, if the plan trains the network it names, or its base.

    The changes of the training pictures are made meanwhile, as in a real training.
    """
    import keras

    from smallvision.training.batches import training_batches
    from smallvision.training.fitting import POLICIES, compile_network, label_columns
    from smallvision.training.optimizers import make_optimizer
    from smallvision.training.recipe import NETWORKS
    from smallvision.training.transfer import freeze_and_pool, join, unfrozen_layers

    recipe = plan.recipe
    keras.config.set_dtype_policy(POLICIES[plan.precision])
    if recipe.backbone:
        whole = _build_base(plan)
        trainable = unfrozen_layers(whole, recipe.unfreeze)
        base, head = freeze_and_pool(whole, recipe, classes)
        for layer in trainable:
            layer.trainable = True
        network = join(base, head.build())
    else:
        size = None if plan.augment and plan.augment.resizes else plan.image_size
        network = NETWORKS[recipe.network](size, classes, recipe.dropout)
    compile_network(network, make_optimizer(recipe, 1e-6), recipe.label_smoothing)
    labels = label_columns(np.arange(plan.batch_size) % classes, network.output_shape[-1])
    pictures = _noise(plan.batch_size, plan.image_size)
    batches = iter(training_batches(pictures, labels, plan.batch_size, 0, plan.augment, plan.epochs // 2, plan.epochs))
    network.train_on_batch(*next(batches))
    step = timeit(lambda: network.train_on_batch(*next(batches)), number=STEPS) / STEPS
    inputs = (pictures / 255).astype(np.float32)
    network.predict_on_batch(inputs)
    answer = timeit(lambda: network.predict_on_batch(inputs), number=1)
    keras.config.set_dtype_policy("float32")
    return Costs(step=step / plan.batch_size, answer=answer / plan.batch_size)


def _build_base(plan: Plan) -> "keras.Model":
    if plan.recipe.backbone is None:
        raise ParameterError(f"params.yaml: recipe {plan.name} has no backbone")
    return backbones.build(plan.recipe.backbone, plan.recipe.weights, plan.image_size)


def _noise(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def training_seconds(plan: Plan, counts: Counts, costs: Costs) -> float:
    """Return the seconds of a training, without start and end of the process."""
    recipe = plan.recipe
    epoch = counts.train * costs.step + counts.validation * costs.answer
    if recipe.backbone is None:
        return plan.epochs * epoch
    views = counts.train * (1 + recipe.mirror) + counts.validation * (1 + recipe.mirror_test)
    frozen = views * costs.features
    if recipe.unfreeze:
        return frozen + plan.second_phase().epochs * epoch
    return frozen + (plan.epochs * epoch if plan.augment else 0)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="smallvision estimate", description="About how long will `dvc repro` take on this machine?"
    )
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    given = parser.parse_args(arguments)
    params = read_params()
    if given.settings:
        from smallvision.scaling.search_space import PARAMS, params_with

        settings = dict(setting.partition("=")[::2] for setting in given.settings)
        params = params_with(settings, PARAMS.read_text(encoding="utf-8-sig"))
    plan = resolve(params)
    counts = count_pictures(params, Path("data/pictures"))
    if counts is None:
        print(f"estimate: {plan.name} on {name_of(params.source)}: `dvc repro split` first finds out how many pictures")
        return
    parts = {"draw and split": sum(DRAWN[params.source].values()) * time_drawing()} if params.source in DRAWN else {}
    start = timeit(import_tensorflow, number=1)
    plan = settle(plan)
    recipe = plan.recipe
    features = time_base(plan) if recipe.backbone else 0.0
    steps = Costs() if recipe.backbone and not (recipe.unfreeze or plan.augment) else time_steps(plan, counts.classes)
    costs = Costs(steps.step, steps.answer, features)
    # What comes before and after, such as writing the model, takes about as long as TensorFlow takes to start.
    parts["train"] = 2 * start + training_seconds(plan, counts, costs)
    parts["evaluate"] = 2 * start + counts.test * (1 + recipe.mirror_test) * (costs.features or costs.answer)
    details = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())
    total, source = duration(sum(parts.values())), name_of(params.source)
    print(f"estimate: {plan.name} on {source}: about {total} here if all of it runs ({details})")
