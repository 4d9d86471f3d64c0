"""The search space of a sweep: parameters, each with the values that it may take."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import ruamel.yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, OverrideType
from hydra.errors import HydraException

from smallvision.core.errors import ParameterError
from smallvision.core.params import Params
from smallvision.core.params_file import parse_params
from smallvision.training.plan import resolve

DIGITS = 3  # significant digits of a number that is drawn
PARAMS = Path("params.yaml")
SPLIT_ALREADY = ("source", "labels", "classes", "split")
# Why changing a key may have no effect.
REASON = "its own lr, batch_size and image_size go before the general ones, and other recipes' keys say nothing"
LOGISTIC = "head: logistic is not trained in epochs, and no chance is in it"
REASONS = {"precision": "a pretrained base computes in float32", "tensorboard": "it only draws what a training does"}


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included.

    `log` makes every decade equally likely, and `whole` leaves only whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def write(self, value: float) -> str:
        """Return a value as `-S` takes it: rounded so that a person can type it, but never outside the interval."""
        return str(int(value)) if self.whole else repr(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))


Choices = tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """What a sweep searches: the settings in `fixed` hold for every trial, and each trial draws the keys in `free`."""

    fixed: Mapping[str, str]
    free: Mapping[str, Interval | Choices]

    @property
    def combinations(self) -> int | None:
        """The number of different trials; None if an interval makes it infinite."""
        choices = [values for values in self.free.values() if isinstance(values, tuple)]
        return prod(map(len, choices)) if len(choices) == len(self.free) else None

    def settings(self, drawn: Mapping[str, float | str]) -> dict[str, str]:
        """Return all settings of a trial, written as `-S` takes them."""
        values = {
            key: found.write(float(drawn[key])) if isinstance(found, Interval) else str(drawn[key])
            for key, found in self.free.items()
        }
        return {**self.fixed, **values}

    def point_of(self, params: Params) -> dict[str, float | str] | None:
        """Return these parameters as a trial, or None if they lie outside the space."""
        drawn: dict[str, float | str] = {}
        for key, found in self.free.items():
            value: Any = params.model_dump()
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            word = _word(value)
            if isinstance(found, tuple) and word in found:
                drawn[key] = word
            elif isinstance(found, Interval) and isinstance(value, int | float) and found.low <= value <= found.high:
                drawn[key] = value
        return drawn if len(drawn) == len(self.free) else None


_parser = cache(OverridesParser.create)


def _parse(text: str) -> Override:
    try:
        (override,) = _parser().parse_overrides([text])
    except HydraException as error:
        lines = str(error).strip().splitlines()
        reason = next((line for line in lines[1:] if "Unknown function" in line), lines[0]).split(": ")[-1]
        raise ParameterError(f"-S {text}: cannot be read: {reason}; {EXAMPLES}") from None
    if override.type is not OverrideType.CHANGE:
        raise ParameterError(f"-S {text}: a sweep changes parameters, it neither adds nor removes them")
    value = override.value()
    if isinstance(value, Glob):
        raise ParameterError(f"-S {text}: list the values, a pattern has none; {EXAMPLES}")
    if override.package is not None or getattr(value, "shuffle", False) or getattr(value, "tags", set()) - {"log"}:
        raise ParameterError(f"-S {text}: a sweep takes neither @ nor shuffle, and no tag but log")
    return override


EXAMPLES = "examples: 'lr=tag(log, interval(1e-4, 1e-2))', 'image_size=int(interval(96, 160))', 'batch_size=16,32'"


def read_space(file: Path | None, settings: Iterable[str]) -> Space:
    """Read a search space from the lines of a YAML file and from settings as `dvc exp run -S` takes them.

    The grammar is Hydra's (https://hydra.cc/docs/advanced/override_grammar/extended/), which `-S` uses, and includes
    `interval`. In the file a key stands before the colon, and a list holds choices. A setting replaces the line of the
    file with the same key.

    Raises:
        ParameterError: something is not a setting, or there is nothing to search.
    """
    fixed: dict[str, str] = {}
    free: dict[str, Interval | Choices] = {}
    for text in [*(_lines(file) if file else []), *settings]:
        override = _parse(text)
        key = override.key_or_group
        if key.split(".")[0] in SPLIT_ALREADY:
            raise ParameterError(f"-S {text}: all trials train on the same pictures; change {PARAMS}, then sweep")
        fixed.pop(key, None)
        free.pop(key, None)
        value = override.value()
        if not override.is_sweep_override():
            fixed[key] = override.get_value_element_as_str()
        elif isinstance(value, IntervalSweep):
            free[key] = _interval(text, value)
        else:
            free[key] = _choices(text, override)
    if not free:
        raise ParameterError(f"nothing to search; give -S a range or a list of values, {EXAMPLES}")
    return Space(fixed, free)


def _choices(text: str, override: Override) -> Choices:
    try:
        return tuple(dict.fromkeys(override.sweep_string_iterator()))
    except (HydraException, ValueError) as error:  # for example a range with steps of 0
        raise ParameterError(f"-S {text}: {error}") from None


def _interval(text: str, found: IntervalSweep) -> Interval:
    low, high = found.start or 0, found.end or 0
    interval = Interval(low, high, "log" in found.tags, whole=isinstance(found.end, int))  # int(interval(…))
    if not interval.low < interval.high or (interval.log and interval.low <= 0):
        raise ParameterError(f"-S {text}: expected a lower and a higher end{', above 0' if interval.log else ''}")
    return interval


def _lines(file: Path) -> list[str]:
    try:
        content = ruamel.yaml.YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ParameterError(f"{file}: there is no such file; expected the YAML file of a search space") from None
    except (ruamel.yaml.error.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(f"{file}: no valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{file}: expected lines such as `lr: tag(log, interval(1e-4, 1e-2))`")
    return [f"{key}={','.join(map(_word, v)) if isinstance(v, list) else _word(v)}" for key, v in content.items()]


def _word(value: object) -> str:
    """Return a value as Hydra reads it: its null and true are those of YAML, not Python's None and True."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def params_with(settings: Mapping[str, str], text: str) -> Params:
    """Return the parameters that `dvc exp run -S` would train with. DVC's own function makes the changes.

    Args:
        settings: the settings of a trial.
        text: the content of `params.yaml`.

    Raises:
        ParameterError: there is no such key, or its value is wrong.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    words = [f"{key}={value}" for key, value in settings.items()]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, PARAMS.name)
        copy.write_text(text, encoding="utf-8")
        try:
            apply_overrides(copy, words)
        except DvcException as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ParameterError(f"-S {' -S '.join(words)}: {reason}") from None
        return parse_params(copy.read_text(encoding="utf-8"), PARAMS)


def check_space(space: Space, text: str) -> None:
    """Refuse what would fail, or turn out to have no effect, after hours of training.

    Each choice, and three values of each interval, are put into the parameters. A key has an effect if they give
    different plans of a training.

    Args:
        space: what is searched.
        text: the content of `params.yaml`.

    Raises:
        ParameterError: a value is wrong or changes nothing in a training, or a base or its weights cannot be found.
    """
    first = space.settings({key: v.low if isinstance(v, Interval) else v[0] for key, v in space.free.items()})
    recipes = _values(space.free["recipe"]) if "recipe" in space.free else [None]
    for key, found in space.free.items():
        plans = {
            resolve(params_with(first | ({"recipe": recipe} if recipe else {}) | {key: value}, text))
            for recipe, value in product(recipes, _values(found))
        }
        if len(plans) < 2 or (key != "recipe" and len(plans) == len(recipes)):
            params = params_with(first, text)
            logistic = params.recipes[params.recipe].head == "logistic" and key in ("lr", "batch_size", "seed")
            reason = LOGISTIC if logistic else REASONS.get(key, REASON)
            raise ParameterError(f"-S {key}=…: has no effect on recipe {params.recipe}; {reason}")


def _values(found: Interval | Choices) -> Sequence[str]:
    if not isinstance(found, Interval):
        return found
    between = found.low + 0.382 * (found.high - found.low)  # hardly ever a whole number, so it finds keys that need one
    return found.write(found.low), found.write(between), found.write(found.high)
