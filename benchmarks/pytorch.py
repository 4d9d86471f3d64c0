"""The baseline network in PyTorch: `python -m benchmarks.pytorch PICTURES float32|bfloat16 EPOCHS`.

It uses channels last, and autocast for bfloat16, the settings with which PyTorch is fastest on a CPU. Prints the
seconds of each epoch, then the pictures per second of training steps on a batch that lies ready. It needs nothing of
the project, so any interpreter with PyTorch and Pillow will do.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

STEPS = 30


class _Pictures(Dataset):
    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*/*"))
        self._classes = sorted({path.parent.name for path in self._paths})

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        path = self._paths[index]
        image = Image.open(path).convert("RGB").resize((150, 150), Image.Resampling.BILINEAR)
        tensor = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
        return tensor, float(self._classes.index(path.parent.name))


class _Training:
    def __init__(self, precision: str) -> None:
        blocks: list[nn.Module] = []
        channels = 3
        for filters in (32, 64, 128, 128):
            blocks += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels = filters
        head = [nn.Flatten(), nn.Linear(6272, 512), nn.ReLU(), nn.Linear(512, 1)]
        self._model = nn.Sequential(*blocks, *head).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.RMSprop(self._model.parameters(), 1e-4, alpha=0.9)
        self._loss = nn.BCEWithLogitsLoss()
        self._precision = precision

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bfloat16")

    def step(self, pictures: torch.Tensor, labels: torch.Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            outputs = self._model(pictures.contiguous(memory_format=torch.channels_last))
        self._loss(outputs.float().squeeze(1), labels.float()).backward()
        self._optimizer.step()

    def validate(self, batches: Iterator) -> None:
        with torch.inference_mode(), self._autocast():
            for pictures, _ in batches:
                self._model(pictures.contiguous(memory_format=torch.channels_last))


def main(pictures: str, precision: str, epochs: str) -> None:
    training = _Training(precision)
    # The workers stay from epoch to epoch; otherwise each epoch would begin by starting them.
    options = {"num_workers": 2, "persistent_workers": True}
    train = DataLoader(_Pictures(Path(pictures, "train")), batch_size=20, shuffle=True, **options)
    validation = DataLoader(_Pictures(Path(pictures, "validation")), batch_size=100, **options)
    for epoch in range(int(epochs)):
        start = time.monotonic()
        for batch in train:
            training.step(*batch)
        training.validate(iter(validation))
        print(f"epoch {epoch + 1}  {time.monotonic() - start:.2f} s", flush=True)
    batch = torch.rand(20, 3, 150, 150), torch.randint(0, 2, (20,))
    for steps in (3, STEPS):
        start = time.monotonic()
        for _ in range(steps):
            training.step(*batch)
        rate = steps * 20 / (time.monotonic() - start)
    print(f"step {rate:.1f} pictures/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
