"""Files are either the old one or the new one, and one process at a time writes them."""

import shutil

import pytest

from smallvision.core.errors import SurroundingsError
from smallvision.core.files import replacing, require_space
from tests.conftest import Project, assert_one_line, kaggle_members, write_zip


def test_only_one_process_writes_an_output(project: Project):
    code = (
        "import time\nfrom pathlib import Path\nfrom smallvision.core.files import locked\n"
        "with locked(Path('data/raw/archive.zip')):\n    print('mine', flush=True)\n    time.sleep(60)"
    )
    write_zip(project.folder / "pictures.zip", kaggle_members(2))
    with project.start("-c", code, module=False) as holder:
        assert holder.stdout.readline() == "mine\n"
        result = project.fetch()
        holder.kill()
    assert_one_line(result, 5, f"archive.zip: process {holder.pid} on ", "is writing it")
    assert project.fetch().returncode == 0


def test_a_disk_with_too_little_space_is_found_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(SurroundingsError, match="11 bytes needed, 10 free; free some space"):
        require_space(tmp_path, 11)
    require_space(tmp_path, 10)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as part:
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("result", "old")]
