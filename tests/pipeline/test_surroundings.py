"""On a full disk, under limits or for another user the old result stays; an odd system changes nothing."""

import contextlib
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project, assert_one_line, kaggle_members, write_zip

pytestmark = pytest.mark.slow

STAGES = {
    "fetch": ("stages.fetch", "data/raw/archive.zip"),
    "split": ("stages.split", "data/raw/archive.zip", "data/pictures"),
    "train": ("stages.train", "data/pictures", ".", "train.json", ".", "logs"),
    "evaluate": ("stages.evaluate", ".", "train.json", "data/pictures", "test.json", "plots"),
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
        assert project.call(*command).returncode == 0
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


def test_odd_surroundings_change_nothing(tmp_path):
    for name in ("usual", "pictures # of Ünal"):
        (tmp_path / name).mkdir()
    usual, odd = Project(tmp_path / "usual"), Project(tmp_path / "pictures # of Ünal")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu", "COLUMNS": "1"}

    def surround() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        os.close(0)

    def run_odd(*command: str) -> subprocess.CompletedProcess[str]:
        return odd.run(*command, before=surround, **environment, HOME="")

    results = []
    for project, run in ((usual, usual.call), (odd, run_odd)):
        write_zip(project.folder / "pictures.zip", kaggle_members(8))
        for command in STAGES.values():
            result = run(*command)
            assert result.returncode == 0, result.stderr
            assert result.stderr == ""
        written = contents(project.folder)
        results.append(
            {
                str(Path(name).relative_to(project.folder)): data
                for name, data in written.items()
                # These hold the time of day, a duration, or the hash of a file that does.
                if Path(name).name
                not in ("model.keras", "model.json", "model.tflite", "README.md", "train.json", "test.json")
            }
        )
    assert results[0] == results[1]
    assert len(results[0]) > 16


def test_a_user_without_rights(tmp_path):
    """A container's usual user is not root, has no entry among the users, and no home of its own."""
    # Only root may be able to read the tests' Python, so the user may read everything, but may not write.
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
