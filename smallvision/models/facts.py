"""What must be known to use a trained model: `model.json`, beside `model.keras`."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from smallvision.core.errors import InputError, first_problem
from smallvision.core.files import sha256_of, write_json


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class ModelFacts:
    """What must be known to use a trained model.

    Attributes:
        recipe: name of the recipe.
        source: where the pictures came from.
        pictures: SHA-256 of the manifest of the pictures that the model was trained on.
        classes: class names, in the order of the probabilities.
        image_size: side of the square input, pixels.
        parameters: what the model was trained with.
        weights: SHA-256 of the weights; the same weights give the same hash, whenever they were saved.
        sha256: SHA-256 of the `.keras` file, which also holds the time at which it was saved.
        litert: SHA-256 of the network in the LiteRT file, once there is one.
        features: length of the vectors, if the LiteRT network returns features in place of probabilities.
    """

    recipe: str
    source: str
    pictures: str
    classes: list[str]
    image_size: int
    parameters: dict[str, object]
    weights: str
    sha256: str
    litert: str | None = None
    features: int | None = None

    @property
    def ids(self) -> dict[str, str]:
        """What a metrics file holds to say which model and which pictures it belongs to."""
        return {"model": self.weights[:12], "pictures": self.pictures[:12]}


def facts_path(model_path: Path) -> Path:
    """Return the path of the facts about a model: `model.json` beside `model.keras`."""
    return model_path.with_suffix(".json")


def write_facts(model_path: Path, facts: ModelFacts) -> None:
    """Write the facts beside the model that they describe."""
    write_json(facts_path(model_path), asdict(facts))


def to_json(facts: ModelFacts, *, one_line: bool = False) -> str:
    """Return the facts as ASCII JSON, for a file that holds them beside other things: one key per line, or one line."""
    return json.dumps(asdict(facts)) if one_line else json.dumps(asdict(facts), indent=1) + "\n"


def parse_facts(text: str | bytes, name: str) -> ModelFacts:
    """Parse the JSON text of facts; `name` says in error messages where it was found.

    Raises:
        InputError: the text is not JSON, or a field is missing, unknown or of another type.
    """
    try:
        return TypeAdapter(ModelFacts).validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{name}: no card of a model ({first_problem(error)}); `dvc repro -f train` makes it"
        ) from None


def read_facts(model_path: Path) -> ModelFacts:
    """Read the facts about a model and check the hash of its file, without TensorFlow.

    Raises:
        InputError: one of the two files is missing, or they do not belong together.
    """
    path = facts_path(model_path)
    if model_path.suffix != ".keras":
        raise InputError(f"{model_path}: expected a .keras file; other formats can run code when they are loaded")
    for file in (model_path, path):
        if not file.is_file():
            raise InputError(f"{file}: not found; `dvc repro train` makes it")
    facts = parse_facts(path.read_bytes(), str(path))
    if facts.sha256 != sha256_of(model_path):
        raise InputError(f"{model_path}: not the model that {path} describes; `dvc repro -f train` makes both")
    return facts


def read_metrics(path: Path, facts: ModelFacts) -> dict[str, object]:
    """Read a metrics file and check that it belongs to the model that `facts` describe, and to its pictures.

    Raises:
        InputError: the file is missing, holds no metrics, or belongs to another model.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: no metrics ({error}); `dvc repro -f` makes them") from None
    for key, expected in facts.ids.items():
        if not isinstance(found, dict) or key not in found:
            raise InputError(f"{path}: names no {key}, as of a training that has not ended; `dvc repro` goes on")
        if found[key] != expected:
            raise InputError(
                f"{path}: its {key} {found[key]} is not the {expected} of the model; `dvc repro` makes both"
            )
    return dict(found)
