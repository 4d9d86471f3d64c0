"""Bases of other people, in the formats of timm and transformers, which keras-hub converts to Keras.

A base is a folder, or `hf:owner/name`, a repository of Hugging Face. `make setup-hub` installs keras-hub.
"""

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

from smallvision.core.errors import InputError, ParameterError, SurroundingsError, first_line, surroundings_of
from smallvision.models.hub_folder import HubFolder, download

if TYPE_CHECKING:
    import keras

REPOSITORY = "hf:"


def is_hub(backbone: str) -> bool:
    """Return whether a base is a folder, or a repository of Hugging Face."""
    return backbone.startswith(REPOSITORY) or Path(backbone).is_dir()


def require_installed(what: str) -> None:
    """Check that keras-hub is here, without importing it; `what` is the thing that needs it.

    Raises:
        SurroundingsError: it is not.
    """
    if not all(importlib.util.find_spec(name) for name in ("keras_hub", "safetensors")):
        raise SurroundingsError(f"{what}: needs keras-hub, which is not installed; `make setup-hub`")


def find(backbone: str) -> HubFolder:
    """Find a base and check what it says of itself, without importing TensorFlow. A repository is downloaded and kept.

    Raises:
        ParameterError: a repository of this name cannot be.
        InputError: the folder lacks a file, or its base cannot be used.
        SurroundingsError: keras-hub is not installed.
        NetworkError: the repository cannot be downloaded.
    """
    if not backbone.startswith(REPOSITORY):
        found = HubFolder(Path(backbone))
        require_installed(backbone)
        return found
    require_installed(backbone)
    return HubFolder(download(backbone.removeprefix(REPOSITORY)))


def build(backbone: str, image_size: int) -> "keras.Model":
    """Convert a base to Keras.

    Args:
        backbone: what `is_hub` takes.
        image_size: side of the input, pixels.

    Returns:
        A model `(batch, image_size, image_size, 3)`, RGB in [0, 1] -> `(batch, height, width, channels)`, in which no
        model is nested. A transformer's tokens become maps: those of the patches at their places, the others left out.

    Raises:
        ParameterError: the picture cannot be cut into patches.
        InputError: keras-hub cannot convert the base, or it is none for pictures; or see `find`.
    """
    folder = find(backbone)
    if image_size % folder.patch_size:
        raise ParameterError(
            f"params.yaml: image_size: expected a multiple of {folder.patch_size}, the side of the patches of "
            f"{backbone}; received {image_size}"
        )
    import keras_hub

    try:
        # One converter prints the name of every layer. The absolute path is no name of one of keras-hub's own bases.
        with contextlib.redirect_stdout(io.StringIO()):
            model = keras_hub.models.Backbone.from_preset(str(folder.path), image_shape=(image_size, image_size, 3))
        return _attach(model, folder, image_size)
    # keras-hub documents no error class: ValueError, TypeError, KeyError, SafetensorError and others occur.
    except Exception as error:
        if surroundings_of(error):
            raise
        raise InputError(f"{backbone}: cannot be used as a base: {first_line(error)}") from error


def _attach(model: "keras.Model", folder: HubFolder, image_size: int) -> "keras.Model":
    """Make the layers of a converted base anew behind a normalisation, and give its output the shape of maps."""
    import keras

    picture = keras.Input((image_size, image_size, 3), name="picture")
    mean, deviation = folder.normalisation()
    offset = [-middle / one for middle, one in zip(mean, deviation, strict=True)]
    normalised = keras.layers.Rescaling([1 / one for one in deviation], offset)(picture)

    def call(layer: "keras.Operation", first: object, *others: object, **named: object) -> object:
        return layer(normalised if first is picture else first, *others, **named)

    # Some take a dictionary with one picture, and keras-hub's class around the layers could not be cloned.
    (taken,), (given,) = model.inputs, model.outputs
    clone = keras.models.clone_model(keras.Model(taken, given), input_tensors=picture, call_function=call)
    clone.set_weights(model.get_weights())
    (maps,) = clone.outputs
    if len(maps.shape) == 3:  # a class token and registers, if there are any, then the patches row by row
        side = image_size // folder.patch_size
        maps = keras.layers.Reshape((side, side, maps.shape[-1]), name="maps")(maps[:, maps.shape[1] - side * side :])
    return keras.Model(picture, maps, name=model.name)
