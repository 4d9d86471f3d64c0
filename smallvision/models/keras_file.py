"""The trained model and the facts needed to use it: `model.keras` and, beside it, `model.json`."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from smallvision.core.errors import InputError
from smallvision.core.files import replacing, sha256_of, write_json

if TYPE_CHECKING:
    import keras

    from smallvision.data.pictures.batches import Inputs


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Card:
    """What must be known to use a model.

    `weights` is the hash of its weights, the same for every run that ends with these weights, and
    `sha256` that of the file, which holds the time of day too. `pictures` is the hash of the
    manifest of the pictures that it was trained on, and `parameters` what it was trained with.
    `litert` is the hash of the network in the LiteRT file, once there is one, and `features` the length of the
    vectors that this gives, if it gives those and not probabilities.
    """

    recipe: str
    source: str
    pictures: str
    classes: list[str]
    image_size: int
    parameters: dict[str, Any]
    weights: str
    sha256: str
    litert: str | None = None
    features: int | None = None

    @property
    def ids(self) -> dict[str, str]:
        """What metrics say about the model and the pictures they belong to."""
        return {"model": self.weights[:12], "pictures": self.pictures[:12]}


def card_path(model_path: Path) -> Path:
    """The card lies beside its model: `model.json` beside `model.keras`."""
    return model_path.with_suffix(".json")


def average_over_mirror(network: "keras.Model") -> "keras.Model":
    """Return a network that shows the given one the mirror image too, and answers with the mean.

    It takes twice the time. Source: Krizhevsky et al., "ImageNet Classification with Deep
    Convolutional Neural Networks", 2012, section 4.1, without their crops.
    """
    import keras

    picture = keras.Input(network.input_shape[1:])
    views = [network(picture), network(keras.ops.flip(picture, axis=2))]
    return keras.Model(picture, keras.layers.average(views))


def save_model(path: Path, model: "keras.Model", **facts: Any) -> Card:
    """Write a model and its card; until the card is there, the pair is refused.

    Args:
        path: the .keras file.
        model: the network.
        facts: the fields of the card that do not follow from these two.

    Returns:
        The card.
    """
    with replacing(path) as part:
        model.save(part)
        card = Card(**facts, weights=fingerprint(model), sha256=sha256_of(part))
    write_card(path, card)
    return card


def write_card(path: Path, card: Card) -> None:
    """Write the card of the model at `path`."""
    write_json(card_path(path), asdict(card))


def parse_card(text: str | bytes, name: str) -> Card:
    """Read a card; `name` is where it was found.

    Raises:
        InputError: it is none.
    """
    try:
        return TypeAdapter(Card).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name}: no card of a model ({where}{': ' if where else ''}{first['msg']}); `dvc repro -f train` makes it"
        ) from None


def read_card(path: Path) -> Card:
    """Read the card of the model at `path` and check the model's hash, without TensorFlow.

    Raises:
        InputError: one of the two is missing, or they do not belong together.
    """
    if path.suffix != ".keras":
        raise InputError(f"{path}: expected a .keras file; other formats can run code when they are loaded")
    for file in (path, card_path(path)):
        if not file.is_file():
            raise InputError(f"{file}: not found; `dvc repro train` makes it")
    card = parse_card(card_path(path).read_bytes(), str(card_path(path)))
    if card.sha256 != sha256_of(path):
        raise InputError(f"{path}: not the model that {card_path(path)} describes; `dvc repro -f train` makes both")
    return card


def fingerprint(model: "keras.Model") -> str:
    """Return the SHA-256 of a model's weights, the same wherever they were loaded from."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(str(weight.shape).encode() + weight.tobytes())
    return digest.hexdigest()


def read_metrics(path: Path, card: Card) -> dict[str, Any]:
    """Read metrics, and check that they are those of the model that `card` describes, and of its pictures.

    Raises:
        InputError: they are another model's, or none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: no metrics ({error}); `dvc repro -f` makes them") from None
    for key, expected in card.ids.items():
        if not isinstance(found, dict) or key not in found:
            raise InputError(f"{path}: names no {key}, as of a training that has not ended; `dvc repro` goes on")
        if found[key] != expected:
            raise InputError(
                f"{path}: its {key} {found[key]} is not the {expected} of the model; `dvc repro` makes both"
            )
    return dict(found)


def load_safely(path: Path) -> "keras.Model":
    """Load a `.keras` file without running code that it may carry.

    Raises:
        InputError: the file cannot be loaded so.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever a wrong file leads it to (ValueError, TypeError, KeyError, OSError, ...).
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be loaded: {reason}") from error


def load_model(path: Path, card: Card) -> "keras.Model":
    """Load a model whose card was read.

    Raises:
        InputError: the file cannot be loaded safely, or does not fit the card.
    """
    model = load_safely(path)
    units = 1 if len(card.classes) == 2 else len(card.classes)
    if model.input_shape[1:] != (card.image_size, card.image_size, 3) or model.output_shape[1:] != (units,):
        raise InputError(
            f"{path}: expected input {card.image_size}x{card.image_size}x3 and output {units}, "
            f"received {model.input_shape[1:]} and {model.output_shape[1:]}"
        )
    return model


def probabilities(model: "keras.Model", pictures: "Inputs") -> np.ndarray:
    """Predict the probability of each class.

    Args:
        model: a model of this project.
        pictures: uint8 `(n, size, size, 3)`.

    Returns:
        float64 array `(n, classes)`, rows that sum to 1.
    """
    from smallvision.models.inference import run_model

    outputs = run_model(model, pictures).astype(np.float64)
    rows: np.ndarray = np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
    rows /= rows.sum(axis=1, keepdims=True)  # float32 sums to 1 only nearly
    return rows
