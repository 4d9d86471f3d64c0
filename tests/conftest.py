"""Tiny generated pictures, and the commands run as a user runs them."""

import contextlib
import gc
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"  # otherwise it would import Trio for Trio's plugin, 0.2 s in every process
import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from smallvision.core.process import report_error
from smallvision.models.quiet_tensorflow import LEVEL

# On a busy machine, a time limit would fail tests that are right. CI tries more examples of each property.
EXAMPLES = int(os.environ.get("SMALLVISION_EXAMPLES", "20"))
hypothesis.settings.register_profile("any machine", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("any machine")


def listen_to_ctrl_c() -> None:  # Shells start background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


ROOT = Path(__file__).parent.parent


def make_picture(seed: int, width: int = 60, height: int = 50) -> Image.Image:
    """Return eight by eight random colours, enlarged. Each seed gives another picture."""
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
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time of day, so always the same
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
        if not (folder / "params.yaml").exists():
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

    def call(self, module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Call `main` of a module in this process, which saves the start-up and a second TensorFlow.

        It is for tests of what a command does and says. Tests of signals, locks, closed streams, environments and the
        moment of an import use `run` and `start`.

        Args:
            module: `stages.split`, or `smallvision.commands.predict`.
            arguments: its command line.
        """
        name = module.rpartition(".")[2]
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", module=r"PIL\.")  # as `process.run` does
            try:
                importlib.import_module(module).main([str(word) for word in arguments])
                code = 0
            except SystemExit as error:
                code = int(error.code or 0)
            except Exception as error:
                code = report_error(name, error)
            finally:
                os.environ.pop(LEVEL, None)  # importing TensorFlow set it, and later processes would show messages
        return subprocess.CompletedProcess([module, *map(str, arguments)], code, out.getvalue(), err.getvalue())

    def fetch(self) -> subprocess.CompletedProcess[str]:
        return self.call("stages.fetch", "data/raw/archive.zip")

    def split(self) -> subprocess.CompletedProcess[str]:
        return self.call("stages.split", "data/raw/archive.zip", "data/pictures")

    def train(self) -> subprocess.CompletedProcess[str]:
        return self.call("stages.train", "data/pictures", ".", "train.json", ".", "data/tensorboard")

    def evaluate(self) -> subprocess.CompletedProcess[str]:
        return self.call("stages.evaluate", ".", "train.json", "data/pictures", "test.json", "plots")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget TensorFlow's log level, which an earlier test may have set by importing it: processes inherit it."""
    os.environ.pop(LEVEL, None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Switch garbage collection off while tests import TensorFlow; it would search TensorFlow's objects for 3 s."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Switch garbage collection on again, without the objects that the imports have made."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "a project with späces"
    folder.mkdir()
    return Project(folder)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project whose four stages have run, in the folders of dvc.yaml. Tests share it, so they only read it.

    The first worker of pytest-xdist that needs it makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "trained"
    folder = shared / "a project with späces"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(shared / "lock"):
        project = Project(folder)
        if not (shared / "complete").exists():
            run_stages(project)
            (shared / "complete").touch()
    return project


def run_stages(project: Project) -> None:
    """Run the four stages on a few pictures."""
    write_zip(project.folder / "pictures.zip", kaggle_members(8))
    models, metrics, plots = "data/models", "metrics", "metrics/plots"
    for stage, *arguments in (
        ("fetch", "data/raw/archive.zip"),
        ("split", "data/raw/archive.zip", "data/pictures"),
        ("train", "data/pictures", models, f"{metrics}/train.json", plots, "data/tensorboard"),
        ("evaluate", models, f"{metrics}/train.json", "data/pictures", f"{metrics}/test.json", plots),
    ):
        result = project.call(f"stages.{stage}", *arguments)
        assert result.returncode == 0, result.stderr


@pytest.fixture
def trained(trained_once: Project, tmp_path: Path) -> Project:
    """A copy of that project which a test may change."""
    folder = tmp_path / trained_once.folder.name
    shutil.copytree(trained_once.folder, folder)
    return Project(folder)


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed as the design says: its exit code, and one line with these words."""
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def save_model(path: Path, network: object, **facts: object) -> object:
    """Save a network and the facts about it, as `train` does; `facts` replace some of them."""
    from smallvision.models import keras_file

    said = {"recipe": "r", "source": "s", "pictures": "", "classes": ["cat", "dog"], "image_size": 46, "parameters": {}}
    return keras_file.save_model(path, network, **said | facts)
