"""The parameters of `params.yaml`, typed and checked before anything heavy is imported."""

import difflib
import math
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import ruamel.yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from smallvision.core.errors import ParameterError


def _whole(value: object) -> object:
    """30.0 is a whole number (`dvc exp run -S` writes it when asked to); 30.5 and true are not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    """'1e-4' in quotes is a number too."""
    is_number = isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.I | re.A)
    return float(str(value)) if is_number else value


def _layers(value: object) -> object:
    value = _whole(value)
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not (number or value is None or (isinstance(value, str) and value)):
        raise ValueError(f"expected a number of layers or a layer's name, received {_received(value)}")
    return value


def _size(value: object) -> object:
    value = _whole(value)
    if not isinstance(value, bool) and isinstance(value, int | float):
        if isinstance(value, int) and 1 <= value <= MAX_COUNT:
            return value
        if 0 < value < 1:
            return float(value)
    raise ValueError(f"expected a number of pictures, or a share between 0 and 1, received {value!r}")


MAX_COUNT = 10_000_000
Whole = Annotated[int, BeforeValidator(_whole)]
Size = Annotated[int | float, PlainValidator(_size)]
# Four convolutions and poolings leave nothing of a picture below 46 pixels.
ImageSize = Annotated[Whole, Field(ge=46, le=1024)]
BatchSize = Annotated[Whole, Field(ge=1, le=65_536)]
LearningRate = Annotated[float, BeforeValidator(_number), Field(gt=0)]
Epochs = Annotated[Whole, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Split(_Section):
    """How many pictures go where, and which pictures are good enough.

    `train`, `validation` and `test` are all pictures per class, or all shares of each class's good
    pictures; what shares of less than 1 in all leave over is left out. A picture with a side under
    `min_side` pixels is rejected, as one that does not decode is. If more than the share
    `max_rejected` is, something is wrong with the whole archive.
    """

    train: Size
    validation: Size
    test: Size
    min_side: Annotated[Whole, Field(ge=1, le=10_000)] = 8
    max_rejected: Share = 0.05

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Split":
        if len({type(size) for size in self.sizes.values()}) > 1:
            raise ValueError(
                "train, validation and test are all pictures per class or all shares, received "
                f"{', '.join(str(size) for size in self.sizes.values())}"
            )
        if self.by_share and (total := math.fsum(self.sizes.values())) > 1 + 1e-9:
            raise ValueError(f"the shares of train, validation and test are {total:g} in all, expected at most 1")
        return self

    @property
    def sizes(self) -> dict[str, int | float]:
        """What each subset gets, as it was given."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, int]:
        """Pictures per class of each subset; not by share."""
        return {subset: int(size) for subset, size in self.sizes.items()}

    @property
    def by_share(self) -> bool:
        """Whether the three are shares."""
        return isinstance(self.train, float)


class Augment(_Section):
    """How far training pictures are changed at random; 0 turns a transformation off.

    Geometry is drawn uniformly from plus and minus the value: `rotation` in degrees, `shift` in
    sides, `shear` in sides per side, `zoom` as a share. `flip` mirrors half of the pictures. `crop`
    is the smallest share of the area that is kept. `fill` says what lies beyond the edge.
    `brightness` is added, of the range from black to white; `contrast` and `saturation` are shares.
    `erase` is the share of pictures that lose a square; `mixup` is alpha of the Beta distribution
    by which each picture is mixed with another of its batch (training accuracy then means nothing). `size` is the
    side of the changed pictures, where it is not `image_size`: what a crop enlarges looks larger than
    it will later, so smaller pictures may fit better, and are faster (Touvron et al., "Fixing
    the train-test resolution discrepancy", NeurIPS 2019). With `first_size` they begin with that side,
    if it is smaller, and grow to the other during the training, which is faster still on a CPU (Tan and Le,
    "EfficientNetV2", ICML 2021).
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0
    shift: Share = 0
    shear: Share = 0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0
    flip: bool = False
    crop: Share = 0
    fill: Literal["nearest", "reflect"] = "nearest"
    brightness: Share = 0
    contrast: Share = 0
    saturation: Share = 0
    erase: Share = 0
    mixup: Annotated[float, Field(ge=0, le=10)] = 0
    size: ImageSize | None = None
    first_size: ImageSize | None = None

    @property
    def resizes(self) -> bool:
        """Whether training pictures may have another side than `image_size`."""
        return bool(self.size or self.first_size)


class Recipe(_Section):
    """How to train; `image_size`, `batch_size` and `lr` override the global ones.

    `schedule` says whether `lr` stays or falls to 0 along a cosine (Loshchilov and Hutter, "SGDR",
    ICLR 2017, without restarts), after it has risen from 0 for the share `warmup` of the steps.
    `optimizer: muon` is Muon (Jordan et al. 2024) for convolutions and AdamW for all other weights;
    `weight_decay` is AdamW's (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019).
    With `patience` a training, or a phase of it, ends after that many epochs that were no better
    than its best.
    `label_smoothing` is the share of each label that is spread over all classes (Szegedy et al.,
    "Rethinking the Inception Architecture", CVPR 2016). `network` is trained from scratch, the
    book's `convnet` or a `residual` one; `dropout` is the share of units dropped in training. With
    `backbone`, a head of `units` is trained on a pretrained base (see `backbones.py`), whose
    features are pooled; `mirror` trains on mirror images too. With `unfreeze` (a number of last
    layers, the first layer's name, or `all`), these layers are trained further, `finetune_epochs`
    at `finetune_lr`. With `mirror_test` the trained network's answer is the mean over a picture and
    its mirror image.
    """

    epochs: Epochs
    network: Literal["convnet", "residual"] = "convnet"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    augment: Augment | None = None
    backbone: str | None = None
    weights: str = "imagenet"
    pooling: Literal["average", "flatten"] = "average"
    units: Annotated[Whole, Field(ge=0, le=65_536)] = 256
    mirror: bool = False
    unfreeze: Annotated[int | str | None, PlainValidator(_layers)] = None
    finetune_lr: LearningRate | None = None
    finetune_epochs: Epochs | None = None
    image_size: ImageSize | None = None
    batch_size: BatchSize | None = None
    lr: LearningRate | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0
    optimizer: Literal["rmsprop", "adamw", "muon"] = "rmsprop"
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0
    patience: Epochs | None = None
    mirror_test: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "Recipe":
        of_backbones = {"weights", "pooling", "units", "mirror", "unfreeze", "finetune_lr", "finetune_epochs"}
        if self.backbone is None and (lone := sorted(of_backbones & self.model_fields_set)):
            raise ValueError(f"{lone[0]} needs a backbone")
        if self.backbone is not None and "network" in self.model_fields_set:
            raise ValueError("network and backbone exclude each other")
        if self.augment and self.augment.resizes and self.network != "residual":
            raise ValueError("augment.size and first_size need network: residual, which takes pictures of any size")
        together = [self.unfreeze, self.finetune_lr, self.finetune_epochs]
        if None in together and together != [None] * 3:
            raise ValueError("unfreeze, finetune_lr and finetune_epochs go together")
        if self.warmup and self.schedule != "cosine":
            raise ValueError("warmup needs schedule: cosine")
        if self.weight_decay and self.optimizer == "rmsprop":
            raise ValueError("weight_decay needs optimizer: adamw or muon")
        return self


class Params(_Section):
    """The whole of `params.yaml`.

    `train_limit`: only so many of each class's training pictures are used, the first; validation and
    test pictures stay the same, so that results can be compared.
    """

    seed: Annotated[Whole, Field(ge=0, lt=2**32)]
    source: Annotated[str, Field(min_length=1)]
    split: Split
    image_size: ImageSize
    recipe: str
    lr: LearningRate
    batch_size: BatchSize
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "gpu"] = "auto"
    tensorboard: bool = False
    train_limit: Annotated[Whole, Field(ge=1)] | None = None
    class_weights: Literal["none", "balanced"] = "none"
    recipes: dict[str, Recipe]


def read_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters.

    Raises:
        ParameterError: the file is missing, no YAML, or a key or value is wrong.
    """
    try:
        return parse_params(path.read_text(encoding="utf-8-sig"), path)
    except FileNotFoundError:
        raise ParameterError(f"{path}: not found; run from the project's root") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def parse_params(text: str, path: Path) -> Params:
    """Parse and check the content of `path`.

    As DVC parses it (YAML 1.2, so `1e-4` is a number, `yes` a word and a duplicate key an error):
    PyYAML would read another value than `dvc params diff` shows.

    Raises:
        ParameterError: it is no YAML, or a key or value is wrong.
    """
    try:
        content = ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except ruamel.yaml.error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}" if mark else ""
        problem = (error.problem or "cannot be read").strip().splitlines()[0]
        raise ParameterError(f"{path}{where}: no valid YAML: {problem}") from None
    except (ruamel.yaml.error.YAMLError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ParameterError(f"{path}: no valid YAML: {reason}") from None
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ParameterError(f"{path}: expected keys and values, received {found}; `git checkout {path}` restores it")
    try:
        params = Params.model_validate(content)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise ParameterError(f"{path}: a value contains itself; write it out instead") from None
        # A misspelled key is both unknown and missing; only the first says what was meant.
        first, *others = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        more = f" ({len(others)} more wrong)" if others else ""
        raise ParameterError(f"{path}: {_explain(first)}{more}") from None
    if params.recipe not in params.recipes:
        raise ParameterError(f"{path}: recipe: {_no_such(params.recipe, params.recipes)}")
    return params


def _explain(error: ErrorDetails) -> str:
    """Put one pydantic error into the words of the file: key, expectation, what was found."""
    *section, last = [str(key) for key in error["loc"] if key != "[key]"]
    key = ".".join([*section, last])
    if error["type"] == "missing":
        return f"{key}: the key is missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: {_no_such(last, _section_keys(section))}"
    if error["type"] == "value_error":
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    expected = error["msg"].removeprefix("Input should be ").replace("'", "")
    return f"{key}: expected {expected}, received {_received(error['input'])}"


def _received(value: object) -> str:
    # Of a list of lists of lists by way of YAML's anchors, repr writes gigabytes.
    text = reprlib.repr(value) if isinstance(value, (dict, list)) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _section_keys(section: list[str]) -> Iterable[str]:
    if section[:1] == ["recipes"]:
        return Augment.model_fields if section[2:] == ["augment"] else Recipe.model_fields
    return Split.model_fields if section == ["split"] else Params.model_fields


def _no_such(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return f"there is no {name!r}; {hint}"
