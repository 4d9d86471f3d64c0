"""Draw `feature_maps.png`: what each layer of the trained convnet makes of one picture.

Run it from the project's root with `python -m docs.feature_maps`, after `dvc repro`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smallvision.core.errors import InputError
from smallvision.core.process import run
from smallvision.data.pictures.decoding import to_input
from smallvision.data.sources.drawn import DRAWN, SEED, SPECIES, draw_picture
from smallvision.models.facts import ModelFacts, read_facts
from smallvision.models.inference import predict_probabilities
from smallvision.models.keras_file import load_model
from smallvision.models.quiet_tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras

MODEL = Path("data/models/model.keras")
SIDE, GAP, TEXT = 108, 4, 150  # pixels: side of a tile, space between two tiles, width of the text
MAPS = 8  # how many maps of a layer are drawn
NUMBER = DRAWN["cat"] + 9  # cat.2009 comes after the archive's last cat, so no training has seen it


def draw_cat(image_size: int) -> np.ndarray:
    """Return a drawn cat as network input, uint8 `(image_size, image_size, 3)`."""
    file = io.BytesIO()
    rng = np.random.default_rng([SEED, SPECIES.index("cat"), NUMBER])
    draw_picture("cat", rng).save(file, "PNG")
    return to_input(file.getvalue(), image_size)


def find_convnet(model: "keras.Model") -> "keras.Model | None":
    """Return the convnet inside what `train` puts around it, or None where a model has none."""
    if model.name == "convnet":
        return model
    inner = (find_convnet(layer) for layer in model.layers if hasattr(layer, "layers"))
    return next((found for found in inner if found), None)


def feature_maps(model: "keras.Model", picture: np.ndarray) -> dict[str, np.ndarray]:
    """Return the output of each layer that makes feature maps.

    Args:
        model: a convnet trained from scratch.
        picture: uint8 `(size, size, 3)`.

    Returns:
        float32 `(height, width, channels)` for each layer, in the network's order, under its kind and number.
    """
    import keras

    layers = [layer for layer in model.layers if len(layer.output.shape) == 4]
    kinds = [type(layer).__name__ for layer in layers]
    names = [f"{kind} {kinds[: index + 1].count(kind)}" for index, kind in enumerate(kinds)]
    outputs = keras.Model(model.inputs[0], [layer.output for layer in layers])(picture[None].astype(np.float32) / 255)
    return {name: np.asarray(output)[0] for name, output in zip(names, outputs, strict=True)}


def strongest(maps: np.ndarray, count: int) -> list[int]:
    """Return the indices of the maps that differ most from place to place, in the layer's order."""
    return sorted(np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:count].tolist())


def draw_sheet(picture: np.ndarray, layers: dict[str, np.ndarray], answer: str) -> Image.Image:
    """Draw a row for each layer with its strongest maps, each from black (0) to white (its own maximum)."""
    step = SIDE + GAP
    sheet = Image.new("RGB", (TEXT + step * MAPS - GAP, step * (1 + len(layers)) - GAP), "white")
    canvas = ImageDraw.Draw(sheet)

    def draw_row(row: int, heading: str, text: str, tiles: list[Image.Image]) -> None:
        canvas.text((0, row * step + SIDE // 2 - 24), heading, "black", ImageFont.load_default(16))
        canvas.multiline_text((0, row * step + SIDE // 2), text, "black", ImageFont.load_default(13), spacing=3)
        for column, tile in enumerate(tiles):
            # The pixels of a small map stay visible as squares.
            method = Image.Resampling.BOX if tile.width > SIDE else Image.Resampling.NEAREST
            sheet.paste(tile.resize((SIDE, SIDE), method), (TEXT + column * step, row * step))

    draw_row(0, "picture", f"{picture.shape[0]} x {picture.shape[1]} x 3", [Image.fromarray(picture)])
    canvas.text((TEXT + step + 8, SIDE // 2 - 8), answer, "black", ImageFont.load_default(16))
    for row, (name, maps) in enumerate(layers.items(), 1):
        height, width, channels = maps.shape
        grey = (255 * maps / np.maximum(maps.max(axis=(0, 1)), 1e-9)).round().astype(np.uint8)
        text = f"{height} x {width} x {channels}\nempty maps: {_empty(maps)}"
        draw_row(row, name, text, [Image.fromarray(grey[..., index]) for index in strongest(maps, MAPS)])
    return sheet


def _empty(maps: np.ndarray) -> int:
    return int((~maps.any(axis=(0, 1))).sum())


def describe(facts: ModelFacts, predicted: np.ndarray) -> str:
    """Return the class that the network names, and its probability, as text."""
    best = int(predicted.argmax())
    return f"the network's answer: {facts.classes[best]}, {predicted[best]:.1%}"


def main() -> None:
    facts = read_facts(MODEL)
    import_tensorflow()
    model = load_model(MODEL, facts)
    convnet = find_convnet(model)
    if not convnet:
        raise InputError(f"{MODEL}: the recipe {facts.recipe} has another network; train `baseline` first")
    picture = draw_cat(facts.image_size)
    predicted = predict_probabilities(model, picture[None])[0]
    sheet = draw_sheet(picture, feature_maps(convnet, picture), describe(facts, predicted))
    sheet.quantize(160).save("docs/feature_maps.png", optimize=True)


if __name__ == "__main__":
    run("feature_maps", main)
