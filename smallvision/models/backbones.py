"""Pretrained bases. Each takes RGB in [0, 1] and does its own preprocessing inside."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from smallvision.core.errors import InputError, NetworkError, ParameterError, printable, surroundings_of
from smallvision.models import efficientnet_lite, hub
from smallvision.models.efficientnet_lite import LITE
from smallvision.models.keras_file import load_safely

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Base:
    """A base of `keras.applications`.

    Attributes:
        constructor: its name in `keras.applications`.
        scaling: the input that its weights were trained with: `caffe` (BGR in [0, 255] minus ImageNet's mean), `tf`
            ([-1, 1]), or `own` ([0, 255], which the network scales itself).
        image_size: the side of the pictures that its weights were trained with, pixels.
        alpha: the width of a MobileNet, as a share of the usual one; None where the constructor takes none.
    """

    constructor: str
    scaling: Literal["caffe", "tf", "own"]
    image_size: int = 224
    alpha: float | None = None


# The names are those of Keras' documentation. A number after a name is the width (`alpha`) in percent.
BASES = {
    "vgg16": Base("VGG16", "caffe"),
    "mobilenet": Base("MobileNet", "tf"),
    "mobilenet_25": Base("MobileNet", "tf", alpha=0.25),
    "mobilenet_v2": Base("MobileNetV2", "tf"),
    "mobilenet_v3_small": Base("MobileNetV3Small", "own"),
    "mobilenet_v3_large": Base("MobileNetV3Large", "own"),
    "efficientnet_v2_b0": Base("EfficientNetV2B0", "own"),
    "convnext_tiny": Base("ConvNeXtTiny", "own"),
    "xception": Base("Xception", "tf", image_size=299),
    "resnet50_v2": Base("ResNet50V2", "tf"),
}
NAMES = (*LITE, *BASES)
WRITING = 10  # seconds; a file that changed more recently may be a download of another process
IMAGENET_MEAN = (123.68, 116.779, 103.939)  # RGB in [0, 255], Simonyan & Zisserman 2015


def require_known(backbone: str, weights: str) -> None:
    """Check that a base and its weights exist, without importing TensorFlow.

    Raises:
        ParameterError: `backbone` is neither a known name nor a `.keras` file, a folder or `hf:owner/name`, or
            `weights` is neither `imagenet` nor a file.
        InputError: `backbone` is a folder without a base that can be used.
        NetworkError: `backbone` cannot be downloaded.
        SurroundingsError: the package with the weights is not installed.
    """
    if backbone in LITE and weights == "imagenet":
        efficientnet_lite.weights_file(backbone)
    elif backbone not in NAMES and hub.is_hub(backbone):
        hub.find(backbone)
    elif backbone not in NAMES and not (backbone.endswith(".keras") and Path(backbone).is_file()):
        raise ParameterError(
            f"params.yaml: backbone: expected a .keras file or one of {', '.join(NAMES)}, or a folder of timm or "
            f"transformers; received {backbone!r}"
        )
    if weights != "imagenet" and not Path(weights).is_file():
        raise ParameterError(f"params.yaml: weights: expected imagenet or a weights file; {weights!r} is no file here")


def default_image_size(backbone: str) -> int | None:
    """Return the side in pixels that a base was trained at, or None for a `.keras` file; errors as `require_known`."""
    if backbone in LITE:
        return LITE[backbone].image_size
    if backbone not in BASES and hub.is_hub(backbone):
        return hub.find(backbone).image_size
    return BASES[backbone].image_size if backbone in BASES else None


def build(backbone: str, weights: str, image_size: int) -> "keras.Model":
    """Build a base and load its weights.

    Args:
        backbone: one of `NAMES`, the path of a `.keras` file whose input is RGB in [0, 1], or what `hub.is_hub` takes.
        weights: `imagenet` (Keras downloads them and keeps them in its cache; those of EfficientNet-Lite come with a
            package) or the path of a weights file. Without effect on a `.keras` file or a folder: both hold their own.
        image_size: side of the input, pixels.

    Returns:
        A model `(batch, image_size, image_size, 3)` -> `(batch, height, width, channels)`. A named base has no model
        nested in it: all its layers are in `layers`.

    Raises:
        InputError: the weights file does not fit the base, or the `.keras` file is no base.
        NetworkError: the weights cannot be downloaded.
    """
    if backbone in LITE:
        lite = efficientnet_lite.build(backbone, image_size)
        if weights == "imagenet":
            efficientnet_lite.load_imagenet(lite, backbone)
        else:
            _load_weights(lite, backbone, weights)
        return lite
    if backbone not in BASES and hub.is_hub(backbone):
        return hub.build(backbone, image_size)
    if backbone not in BASES:
        return _load(Path(backbone), image_size)
    import keras

    base = BASES[backbone]
    picture = keras.Input((image_size, image_size, 3), name="picture")
    constructor = getattr(keras.applications, base.constructor)
    construct = partial(constructor, include_top=False, input_tensor=_scale(picture, base.scaling))
    if base.alpha is not None:
        construct = partial(construct, alpha=base.alpha)
    if weights == "imagenet":
        return _download(backbone, construct)
    model = construct(weights=None)
    _load_weights(model, backbone, weights)
    return model


def _load_weights(model: "keras.Model", backbone: str, weights: str) -> None:
    # If only a part of the file fits, Keras may just warn that the other layers keep their random weights.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.load_weights(weights)
        except (ValueError, OSError, KeyError) as error:
            reason = " ".join(str(error).split()).split(" Target variable:")[0]
            raise InputError(f"{weights}: no weights of {backbone}: {reason}") from None
    if caught:
        raise InputError(f"{weights}: not all weights of {backbone}: {caught[0].message}")


def _download(backbone: str, construct: Callable[..., "keras.Model"]) -> "keras.Model":
    try:
        return _build_or_retry(construct)
    # For a failed download Keras raises a bare Exception whose text names the address.
    except Exception as error:
        if surroundings_of(error):
            raise
        reason = " ".join(str(error).split())
        raise NetworkError(
            f"weights of {backbone}: {reason}; try again, or download that file yourself and set the recipe's "
            "`weights` to it"
        ) from None


def _build_or_retry(construct: Callable[..., "keras.Model"]) -> "keras.Model":
    try:
        return _with_imagenet(construct)
    except OSError:  # The file cannot be opened. A failed download would be a bare Exception.
        if not _delete_cut_downloads():
            raise
        return _with_imagenet(construct)


def _with_imagenet(construct: Callable[..., "keras.Model"]) -> "keras.Model":
    with warnings.catch_warnings():
        # MobileNet warns that it has no weights for this side and takes those of 224 pixels, which is what we want.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        return construct(weights="imagenet")


def _delete_cut_downloads() -> bool:
    """Delete weights files in Keras' cache that cannot be opened, and return whether there were any.

    Keras writes a download in place. It has no hash for MobileNet's files, so it takes the part that a killed run left
    for a whole file.
    """
    import h5py
    from keras.src.backend.config import keras_home  # it has no public name

    found = False
    for file in Path(keras_home(), "models").glob("*.h5"):
        if time.time() - file.stat().st_mtime < WRITING:
            continue
        try:
            h5py.File(file).close()
        except OSError:
            print(printable(f"{file}: cut off; downloading it again"), flush=True)
            file.unlink()
            found = True
    return found


def _scale(picture: "keras.KerasTensor", scaling: str) -> "keras.KerasTensor":
    from keras import layers

    if scaling == "tf":
        return layers.Rescaling(2.0, -1.0)(picture)
    if scaling == "own":
        return layers.Rescaling(255.0)(picture)
    centred = layers.Rescaling(255.0, [-mean for mean in IMAGENET_MEAN])(picture)
    return centred[..., ::-1]


def _load(path: Path, image_size: int) -> "keras.Model":
    import keras

    model = load_safely(path)
    taken, given = model.inputs[0].shape[1:], model.outputs[0].shape[1:]
    wanted = (image_size, image_size, 3)
    fits = len(taken) == 3 and all(side in (None, want) for side, want in zip(taken, wanted, strict=True))
    if not fits or len(model.inputs) != 1 or len(model.outputs) != 1 or len(given) != 3:
        raise InputError(
            f"{path}: expected a base from {image_size}x{image_size} RGB to (height, width, channels); "
            f"received {taken} to {given}"
        )
    picture = keras.Input((image_size, image_size, 3), name="picture")
    # The layers are made anew behind an input of fixed size. If the old ones were called a second time, their `input`
    # would still be that of the first call.
    clone = keras.models.clone_model(model, input_tensors=keras.tree.map_structure(lambda _: picture, model.input))
    clone.set_weights(model.get_weights())
    return clone
