"""Tiny generated pictures, and the commands run as a user runs them."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from smallvision.models.quiet_tensorflow import LEVEL

# On a machine that is busy, a time limit fails what is right.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def listen_to_ctrl_c() -> None:
    """Take back what a caller in the background does: processes inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


ROOT = Path(__file__).parent.parent


def make_picture(seed: int, width: int = 60, height: int = 50) -> Image.Image:
    """Eight by eight random colours, blown up: no two seeds are alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)


def jpeg(seed: int, **options: int) -> bytes:
    data = io.BytesIO()
    make_picture(seed, **options).save(data, "JPEG", quality=90)
    return data.getvalue()


def kaggle_members(count: int) -> dict[str, bytes]:
    """`count` cats and dogs in Kaggle's layout."""
    return {
        f"train/{label}.{number}.jpg": jpeg(number + offset)
        for label, offset in (("cat", 0), ("dog", 10_000))
        for number in range(count)
    }


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time of day, so the same each time
    return path


PARAMS = """\
seed: 42
source: {source}
split: {{train: 4, validation: 2, test: 2, max_rejected: 0.5}}
image_size: 46
recipe: baseline
lr: 1.0e-4
batch_size: 4
precision: float32
recipes:
  baseline: {{epochs: 1}}
  other: {{epochs: 1}}
"""


class Project:
    """A folder with a params.yaml, in which stages run as separate processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = folder / "data/raw/archive.zip"
        self.pictures = folder / "data/pictures"
        self.write_params()

    def write_params(self, source: str = "pictures.zip", text: str = PARAMS) -> None:
        (self.folder / "params.yaml").write_text(text.format(source=source), encoding="utf-8")

    def run(
        self,
        *command: str,
        prefix: Sequence[str] = (),
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python module of the project with its arguments, calling `before` in the new process."""
        return subprocess.run(
            [*prefix, sys.executable, "-m", *command],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            preexec_fn=before,
        )

    def start(self, *command: str, module: bool = True) -> subprocess.Popen[str]:
        """Start a Python module of the project, or Python itself, and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, *(["-m"] if module else []), *command],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=listen_to_ctrl_c,
        )

    def fetch(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("stages.fetch", "data/raw/archive.zip", **environment)

    def split(self) -> subprocess.CompletedProcess[str]:
        return self.run("stages.split", "data/raw/archive.zip", "data/pictures")

    def train(self) -> subprocess.CompletedProcess[str]:
        return self.run("stages.train", "data/pictures", "model.keras", "train.json", "history.csv")

    def evaluate(self) -> subprocess.CompletedProcess[str]:
        return self.run("stages.evaluate", "model.keras", "train.json", "data/pictures", "test.json", "plots")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test that imported TensorFlow here has set its log level, and the next one's processes would show messages."""
    os.environ.pop(LEVEL, None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "a project with späces"
    folder.mkdir()
    return Project(folder)


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed as the design says: its exit code, and one line with these words."""
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def save_model(path: Path, network: object, **facts: object) -> object:
    """Save a network with a card, as `train` does; `facts` replace what it says."""
    from smallvision.models import keras_file as modelfile

    said = {"recipe": "r", "source": "s", "pictures": "", "classes": ["cat", "dog"], "image_size": 46, "parameters": {}}
    return modelfile.save_model(path, network, **said | facts)
