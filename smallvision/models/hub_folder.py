"""What a folder in the format of timm or transformers says about the base in it. No TensorFlow is needed for that."""

import json
import re
from pathlib import Path

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from smallvision.core.errors import (
    InputError,
    NetworkError,
    ParameterError,
    first_line,
    first_problem,
    printable,
    surroundings_of,
)

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"  # the second is one of transformers
WEIGHTS = "model*.safetensors"
SIDE = 224  # pixels
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # mean and standard deviation, RGB in [0, 1]
# Architectures, by the starts of their names, that were seen to go wrong with keras-hub 0.29.1 (docs/decisions.md).
REFUSED = {
    "densenet": "keras-hub computes other features with its weights than timm does",
    "vit": "keras-hub makes no network of it that can be saved",
}


class _Said(BaseModel):
    """The values of a folder's JSON files that are used here: sides in pixels, `mean` and `std` of RGB in [0, 1]."""

    architecture: str = Field("", validation_alias=AliasChoices("architecture", "model_type"))
    patch_size: int = Field(1, gt=0)
    image_size: int = SIDE
    input_size: tuple[int, int, int] | None = None
    crop_size: int | dict[str, int] | None = None
    mean: list[float] | None = Field(None, validation_alias=AliasChoices("image_mean", "mean"))
    std: list[float] | None = Field(None, validation_alias=AliasChoices("image_std", "std"))


class HubFolder:
    """A folder with a base.

    Attributes:
        path: its absolute path.
        patch_size: the side of a transformer's patches, pixels; 1 if it has none.
        image_size: the side of the pictures that the base expects, pixels.
    """

    def __init__(self, path: Path) -> None:
        """Read what the folder says.

        Raises:
            InputError: a file is missing or damaged, or the base is one that keras-hub converts wrongly.
        """
        self.path, self._said = path.resolve(), _read(path)
        if not any(path.glob(WEIGHTS)):
            raise InputError(f"{path}: no model.safetensors; expected a base in the format of timm or transformers")
        for start, reason in REFUSED.items():
            if self._said.architecture.startswith(start):
                raise InputError(f"{path}: {self._said.architecture}: {reason}; choose another `backbone`")
        self.patch_size, crop = self._said.patch_size, self._said.crop_size
        # DINOv2 has embeddings for the places of 518 pixels, but its processor cuts pictures to 224.
        self.image_size = min(self._said.image_size, SIDE)
        if self._said.input_size:
            self.image_size = self._said.input_size[1]
        elif crop:
            self.image_size = crop if isinstance(crop, int) else crop.get("height", SIDE)

    def normalisation(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of the pictures that the base was trained on: RGB in [0, 1]."""
        if self._said.mean and self._said.std:
            return self._said.mean, self._said.std
        print(printable(f"{self.path}: says nothing about normalisation; ImageNet's mean and deviation are used"))
        return IMAGENET


def _read(folder: Path) -> _Said:
    values: dict[str, object] = {}
    for path in (folder / CONFIG, folder / PROCESSOR):
        try:
            found = json.loads(path.read_bytes())
            values |= found | found.get("pretrained_cfg", {})
        except FileNotFoundError:
            if path.name == CONFIG:
                raise InputError(f"{path}: not found; expected a base in the format of timm or transformers") from None
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(f"{path}: not the JSON of timm or transformers: {first_line(error)}") from None
    try:
        return _Said.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{folder / CONFIG}: {first_problem(error)}") from None


def download(repository: str) -> Path:
    """Download what is needed from a repository of Hugging Face, or take what its cache holds, and return the folder.

    Raises:
        ParameterError: this is no name of a repository.
        NetworkError: there is no connection, no such repository, or no permission.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ParameterError(f"params.yaml: backbone: expected hf:owner/name; received 'hf:{repository}'")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=[CONFIG, PROCESSOR, WEIGHTS, f"{WEIGHTS}.index.json"]))
    # Its errors are those of the network, of the service and of names, with no class in common.
    except Exception as error:
        if surroundings_of(error):
            raise
        raise NetworkError(
            f"hf:{repository}: {first_line(error)}; try again, or download its files and set `backbone` to their folder"
        ) from error
