"""The trained model in Keras' format: `model.keras`, with the facts about it beside it."""

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from smallvision.core.errors import InputError, first_line, surroundings_of
from smallvision.core.files import replacing, sha256_of
from smallvision.models import hub
from smallvision.models.facts import ModelFacts, write_facts

if TYPE_CHECKING:
    import keras


class Origin(TypedDict):
    """The fields of `ModelFacts` that only the training knows."""

    recipe: str
    source: str
    pictures: str
    classes: list[str]
    image_size: int
    parameters: dict[str, object]


def average_over_mirror(network: "keras.Model") -> "keras.Model":
    """Return a network that runs the given one on the picture and on its mirror image, and returns the mean.

    It takes twice the time. Both map `(batch, size, size, 3)` to `(batch, n)`.

    Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 4.1,
    without their crops.
    """
    import keras
    from keras import ops

    picture = keras.Input(network.input_shape[1:])
    # Both views go through the network as one batch: two calls would take twice as long to convert.
    answers = network(ops.concatenate([picture, ops.flip(picture, axis=2)], axis=0))
    views = ops.reshape(answers, (2, -1, answers.shape[-1]))
    return keras.Model(picture, ops.mean(views, axis=0))


def save_model(path: Path, model: "keras.Model", **origin: Unpack[Origin]) -> ModelFacts:
    """Write a model, then the facts about it. Without them a model is refused, so a run killed between does no harm.

    Args:
        path: the `.keras` file.
        model: the network. It loses its optimizers, so it must be compiled anew before it can be trained further.
        **origin: the facts that do not follow from the network and its file.

    Returns:
        All the facts.
    """
    _drop_optimizers(model)
    with replacing(path) as part:
        model.save(part)
        facts = ModelFacts(**origin, weights=hash_weights(model), sha256=sha256_of(part))
    write_facts(path, facts)
    return facts


def _drop_optimizers(model: "keras.Model") -> None:
    """Take the optimizers from a network and the networks nested in it.

    Keras saves their state, which with AdamW is twice as large as the trained weights. A clone would not be free of
    them, because a nested network is compiled again when it is made from its configuration.
    """
    import keras

    if model.compiled:
        model.optimizer, model.compiled = None, False
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _drop_optimizers(layer)


def hash_weights(model: "keras.Model") -> str:
    """Return the SHA-256 of a model's weights. Unlike its file's hash, it does not depend on the time of saving."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str(weight.shape).encode() + weight.tobytes())
    return digest.hexdigest()


def load_safely(path: Path) -> "keras.Model":
    """Load a `.keras` file without running code that it may carry.

    Raises:
        InputError: the file cannot be loaded that way.
        SurroundingsError: it has layers of keras-hub, which is not installed.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras documents no error class for a bad file: ValueError, TypeError, KeyError, OSError and others occur.
    except Exception as error:
        if surroundings_of(error):
            raise
        if _has_layers_of_hub(path):
            hub.require_installed(str(path))
        raise InputError(f"{path}: cannot be loaded: {first_line(error)}") from error


def _has_layers_of_hub(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return b'"keras_hub' in archive.read("config.json")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def load_model(path: Path, facts: ModelFacts) -> "keras.Model":
    """Load the model that `facts` describe.

    Raises:
        InputError: the file cannot be loaded safely, or its shapes are not those of the facts.
    """
    model = load_safely(path)
    units = 1 if len(facts.classes) == 2 else len(facts.classes)
    if model.input_shape[1:] != (facts.image_size, facts.image_size, 3) or model.output_shape[1:] != (units,):
        raise InputError(
            f"{path}: expected input {facts.image_size}x{facts.image_size}x3 and output {units}, "
            f"received {model.input_shape[1:]} and {model.output_shape[1:]}"
        )
    return model
