"""`dvc repro`, killed at any time and run again, ends as if it had never been killed."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

from smallvision.core.errors import SurroundingsError
from smallvision.core.files import require_space
from tests.conftest import Project, assert_one_line, kaggle_members, write_zip
from tests.pipeline.test_pipeline import Repository, make_repository

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SMALLVISION_KILLS", "4"))  # docs/reliability.md tells of a run with more
FUZZED = int(os.environ.get("SMALLVISION_FUZZED", "8"))  # files of each kind
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
        for name in ("data/pictures/manifest.json", "metrics/plots/history.csv", "metrics/plots/predictions.csv")
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
    "evaluate": ("stages.evaluate", "model.keras", "train.json", "data/pictures", "test.json", "plots"),
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
                if Path(name).name
                not in ("model.keras", "model.json", "model.tflite", "README.md", "train.json", "test.json")
            }
        )
    assert results[0] == results[1]
    assert len(results[0]) > 16


def test_a_user_without_rights(tmp_path):
    """No root, no entry among the users, no home of its own: a container's usual user."""
    # The tests' Python may lie where only root can read; the right to read everything is no right to write.
    someone = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    someone += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if os.geteuid() or subprocess.run([*someone, "true"], check=False).returncode:
        pytest.skip("becoming another user takes more rights")
    project = Project(tmp_path)
    write_zip(project.folder / "pictures.zip", kaggle_members(8))
    os.chown(project.folder, 12345, 12345)
    for command in STAGES.values():
        result = project.run(*command, prefix=someone, HOME="/root")
        assert (result.returncode, result.stderr) == (0, "")
    assert (project.folder / "model.keras").stat().st_uid == 12345

    before = contents(project.folder)
    for folder in (project.folder, *(path for path in project.folder.rglob("*") if path.is_dir())):
        os.chown(folder, 0, 0)
    for command in STAGES.values():
        assert_one_line(project.run(*command, prefix=someone, HOME="/root"), 5, "ermission")
    assert contents(project.folder) == before


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, cut, repeat or insert bytes of a file, up to four times."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start, length = int(rng.integers(len(data) + 1)), int(2 ** rng.integers(11))
        piece = data[start : start + length]
        match rng.integers(6):
            case 0:
                data[start : start + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in data[start : start + 1])
            case 1:
                data[start : start + length] = bytes(len(piece))
            case 2:
                data[start : start + length] = rng.bytes(len(piece))
            case 3:
                del data[start:]
            case 4:
                del data[start : start + length]
            case 5:
                data[start:start] = piece
    return bytes(data)


def damage_archive(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    write_zip(project.archive, members)
    project.archive.write_bytes(damage(project.archive.read_bytes(), rng))


def damage_pictures(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    write_zip(
        project.archive, {name: damage(data, rng) if rng.random() < 0.3 else data for name, data in members.items()}
    )


def damage_parameters(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    path = project.folder / "params.yaml"
    project.write_params()
    path.write_bytes(damage(path.read_bytes(), rng))


@pytest.mark.parametrize(
    ("harm", "codes"),
    [(damage_archive, {0, 3, 5}), (damage_pictures, {0, 3}), (damage_parameters, {0, 2, 3})],
    ids=["archive", "pictures", "parameters"],
)
def test_any_damage_is_read_or_refused_and_the_old_result_stays(tmp_path, harm, codes):
    """An exit code of the design, one line, no traceback, under 10 s and 1 GB."""
    project = Project(tmp_path)
    members = kaggle_members(12)
    write_zip(project.archive, members)
    assert project.split().returncode == 0
    results = contents(project.pictures)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))

    seen = Counter()
    for number in range(FUZZED):
        harm(project, members, np.random.default_rng(number))
        start = time.monotonic()
        result = project.run(*STAGES["split"], before=limit, OPENBLAS_NUM_THREADS="1")
        assert time.monotonic() - start < 10
        assert result.returncode in codes, (number, result.stderr)
        seen[result.returncode] += 1
        if result.returncode:
            assert_one_line(result, result.returncode)
            assert contents(project.pictures) == results, number
        else:
            assert result.stderr == ""
            results = contents(project.pictures)
    print(f"{harm.__name__}: exit codes {dict(seen)}")
