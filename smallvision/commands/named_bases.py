"""For `smallvision choose_base`: which pretrained bases there are, and which of them are on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from smallvision.core.errors import ParameterError, SurroundingsError
from smallvision.core.params import ImageSize
from smallvision.core.params_file import no_such
from smallvision.models import backbones, efficientnet_lite

# What Keras calls the weights without the top, in the folder `models` of its home.
KERAS_FILES = {
    "vgg16": "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "mobilenet": "mobilenet_1_0_224_tf_no_top.h5",
    "mobilenet_25": "mobilenet_2_5_224_tf_no_top.h5",
    "mobilenet_v2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "mobilenet_v3_small": "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    "mobilenet_v3_large": "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
    "efficientnet_v2_b0": "efficientnetv2-b0_notop.h5",
    "convnext_tiny": "convnext_tiny_notop.h5",
    "xception": "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet50_v2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


@dataclass(frozen=True)
class Candidate:
    """A base that may be chosen; the fields are keys of a recipe. With `image_size` None it has its own size."""

    backbone: str
    weights: str = "imagenet"
    image_size: int | None = None


def parse_candidate(text: str) -> Candidate:
    """Read a base as the command line has it: a name or the path of a `.keras` file, `:WEIGHTS_FILE`, `@SIZE`.

    Raises:
        ParameterError: there is no such base or file, or the size is none that a recipe may have.
        SurroundingsError: the package with the weights is not installed.
    """
    match = re.fullmatch(r"(.+)@(\d+)", text)
    named, size = (match[1], int(match[2])) if match else (text, None)
    if size is not None:
        _require_size(size, text)
    if named.endswith(".keras"):
        if not Path(named).is_file():
            raise ParameterError(f"--bases: {named} is no file here")
        return Candidate(named, image_size=size)
    name, colon, weights = named.partition(":")
    if name not in backbones.NAMES:
        raise ParameterError(f"--bases: {no_such(name, backbones.NAMES)}")
    if colon and not Path(weights).is_file():
        raise ParameterError(f"--bases: {text}: expected a weights file behind the colon; {weights!r} is no file here")
    backbones.require_known(name, weights or "imagenet")
    return Candidate(name, weights or "imagenet", size)


def _require_size(size: int, text: str) -> None:
    try:
        TypeAdapter(ImageSize).validate_python(size)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise ParameterError(f"--bases: {text}: expected a side {reason} pixels, received {size}") from None


def bases_at_hand(keras_home: Path) -> list[Candidate]:
    """Return the bases whose weights are on this machine: installed packages, and what Keras has downloaded.

    Args:
        keras_home: the folder in whose folder `models` Keras keeps its downloads.

    Raises:
        SurroundingsError: there are none.
    """
    packages = [name for name in efficientnet_lite.LITE if _is_installed(name)]
    kept = [name for name, file in KERAS_FILES.items() if (keras_home / "models" / file).is_file()]
    if not packages + kept:
        raise SurroundingsError("no base is at hand; `make setup-bases` installs some, or name them with --bases")
    return [Candidate(name) for name in packages + kept]


def _is_installed(name: str) -> bool:
    try:
        efficientnet_lite.weights_file(name)
    except SurroundingsError:
        return False
    return True
