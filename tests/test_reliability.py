"""`dvc repro`, killed at any time and run again, ends as if it had never been killed."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import keras
import pytest

from smallvision.errors import SurroundingsError
from smallvision.files import require_space
from tests.conftest import Project, assert_one_line, kaggle_members, write_zip
from tests.test_pipeline import Repository, make_repository

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SMALLVISION_KILLS", "4"))  # docs/reliability.md tells of a run with more
PARAMS = {
    "split.train": 12,
    "split.validation": 8,
    "split.test": 4,
    "image_size": 46,
    "batch_size": 4,
    "precision": "float32",
    "recipes": {"baseline": {"epochs": 40, "schedule": "cosine", "dropout": 0.5, "augment": {"rotation": 40}}},
}


def outcome(repository: Repository) -> dict[str, object]:
    """All that a run wrote, but for how long it took and the model's hash, which holds the time of day."""
    folder = repository.folder
    read = {
        name: (folder / name).read_text(encoding="utf-8")
        for name in ("data/pictures/manifest.json", "metrics/plots/history.csv", "metrics/plots/confusion.csv")
    }
    numbers = {
        name: {
            key: value
            for key, value in json.loads((folder / name).read_text(encoding="utf-8")).items()
            if key not in ("seconds", "model")
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
    """What comes out, and in how many seconds."""
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
    if number % 2:  # DVC alone; the stage goes on without it
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    finish(repository)
    assert outcome(repository) == expected
    assert not [path for path in repository.folder.rglob("part-*") if ".dvc" not in path.parts]
    assert not list((repository.folder / "data/models/model-checkpoints").iterdir())


STAGES = {
    "fetch": ("stages.fetch", "data/raw/archive.zip"),
    "split": ("stages.split", "data/raw/archive.zip", "data/pictures"),
    "train": ("stages.train", "data/pictures", "model.keras", "train.json", "history.csv"),
    "evaluate": ("stages.evaluate", "model.keras", "data/pictures", "test.json", "confusion.csv"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A file system of its own, of 40 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system takes more rights")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def finished(disk) -> Project:
    """A project in which every stage has run."""
    project = Project(disk)
    write_zip(project.folder / "pictures.zip", kaggle_members(8))
    for command in STAGES.values():
        assert project.run(*command).returncode == 0
    return project


@pytest.mark.parametrize("stage", STAGES)
def test_on_a_full_disk_the_old_result_stays(finished, stage):
    before = contents(finished.folder)
    filler = finished.folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        result = finished.run(*STAGES[stage])
    finally:
        filler.unlink()
    assert_one_line(result, 5, "free some space")
    assert contents(finished.folder) == before


def test_a_read_only_disk_is_named(finished):
    subprocess.run(["mount", "-o", "remount,ro", finished.folder], check=True)
    try:
        result = finished.run(*STAGES["fetch"])
    finally:
        subprocess.run(["mount", "-o", "remount,rw", finished.folder], check=True)
    assert_one_line(result, 5, "the file system is read-only")


@pytest.mark.parametrize("stage", ["fetch", "split", "train"])
def test_a_file_that_cannot_grow_leaves_the_old_result(finished, stage):
    before = contents(finished.folder)
    # The system refuses the write in the middle. (TensorFlow's own temporary files must have room.)
    limit = 50_000 if stage == "train" else 512
    result = finished.run(*STAGES[stage], before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert_one_line(result, 5, "File too large: raise the file size limit")
    assert contents(finished.folder) == before


def test_a_disk_with_too_little_space_is_found_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(SurroundingsError, match="11 bytes needed, 10 free; free some space"):
        require_space(tmp_path, 11)
    require_space(tmp_path, 10)


def test_odd_surroundings_change_nothing(tmp_path):
    for name in ("usual", "pictures # of Ünal"):
        (tmp_path / name).mkdir()
    usual, odd = Project(tmp_path / "usual"), Project(tmp_path / "pictures # of Ünal")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu", "COLUMNS": "1"}

    def surround() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        os.close(0)

    results = []
    for project, options in ((usual, {}), (odd, {"before": surround, **environment, "HOME": ""})):
        write_zip(project.folder / "pictures.zip", kaggle_members(8))
        for command in STAGES.values():
            result = project.run(*command, **options)
            assert result.returncode == 0, result.stderr
            assert result.stderr == ""
        written = contents(project.folder)
        results.append(
            {
                str(Path(name).relative_to(project.folder)): data
                for name, data in written.items()
                # They hold the time of day, how long it took, or the hash of one that does.
                if Path(name).name not in ("model.keras", "model.json", "train.json", "test.json")
            }
        )
    assert results[0] == results[1]
    assert len(results[0]) > 16
