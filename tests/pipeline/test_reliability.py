"""`dvc repro`, killed at any time and run again, ends as if it had never been killed."""

import json
import os
import signal
import time
from pathlib import Path

import keras
import pytest

from tests.conftest import kaggle_members, write_zip
from tests.pipeline.repository import Repository, make_repository

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SMALLVISION_KILLS", "4"))  # docs/reliability.md tells of a run with more
PARAMS = {
    "split.train": 12,
    "split.validation": 8,
    "split.test": 4,
    "image_size": 46,
    "batch_size": 4,
    "precision": "float32",
    "recipes": {"baseline": {"epochs": 20, "schedule": "cosine", "dropout": 0.5, "augment": {"rotation": 40}}},
}


def outcome(repository: Repository) -> dict[str, object]:
    """Everything that a run wrote, without its duration."""
    folder = repository.folder
    read = {
        name: (folder / name).read_text(encoding="utf-8")
        for name in ("data/pictures/manifest.json", "metrics/plots/history.csv", "metrics/plots/predictions.csv")
    }
    numbers = {
        name: {
            key: value
            for key, value in json.loads((folder / name).read_text(encoding="utf-8")).items()
            if key != "seconds"
        }
        for name in ("metrics/train.json", "metrics/test.json")
    }
    weights = keras.saving.load_model(folder / "data/models/model.keras", compile=False).get_weights()
    pictures = sorted(path.relative_to(folder) for path in (folder / "data/pictures").rglob("*.jpg"))
    return read | numbers | {"weights": [weight.tobytes() for weight in weights], "pictures": pictures}


def finish(repository: Repository) -> str:
    """Run `dvc repro` until it succeeds; it may fail only because an orphan is still at work."""
    end = time.monotonic() + 120
    while True:
        output = repository.run("dvc", "repro", check=False)
        if "is writing it; wait until that process ends" not in output:
            return output + repository.run("dvc", "repro")
        assert time.monotonic() < end, output
        time.sleep(0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_zip(tmp_path_factory.mktemp("source") / "pictures.zip", kaggle_members(24))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, source) -> tuple[dict[str, object], float]:
    """The outcome of a run that nothing killed, and its duration in seconds."""
    repository = make_repository(tmp_path_factory.mktemp("undisturbed"), source, **PARAMS)
    start = time.monotonic()
    repository.run("dvc", "repro")
    return outcome(repository), time.monotonic() - start


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_costs_time_and_nothing_else(tmp_path, source, undisturbed, number):
    expected, seconds = undisturbed
    repository = make_repository(tmp_path / "project", source, **PARAMS)
    process = repository.start("dvc", "repro")
    time.sleep(seconds * (number + 0.5) / KILLS)
    if number % 2:  # only DVC is killed, and the stage goes on without it
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    finish(repository)
    assert outcome(repository) == expected
    assert not [path for path in repository.folder.rglob("part-*") if ".dvc" not in path.parts]
    assert not list((repository.folder / "data/models/model-checkpoints").iterdir())
