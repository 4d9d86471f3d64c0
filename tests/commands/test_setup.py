"""`make setup` installs the command without a network, and DVC's copies of the project run their own code."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.cluster import UNSHARE, networks_can_be_made
from tests.conftest import ROOT, kaggle_members, write_zip
from tests.pipeline.repository import SMALL, make_repository

pytestmark = pytest.mark.slow
NO_NETWORK = UNSHARE if networks_can_be_made() else ()


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    """Make the command in a process without any network, if this user may have one."""
    # `make test-slow` tells its children that they are makes within a make, which changes what they print.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        [*NO_NETWORK, "make", ".venv/command"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_is_installed_without_network_and_an_interrupted_installation_starts_again(tmp_path):
    for name in ("Makefile", "README.md", "LICENSE", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "smallvision", tmp_path / "smallvision", ignore=shutil.ignore_patterns("__pycache__"))
    # The requirements take minutes to install, so those of this environment are used.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    packages = next((tmp_path / ".venv/lib").glob("python*")) / "site-packages"
    (packages / "pinned.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path / ".venv/installed").touch()

    whole = (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(whole.replace("setuptools.build_meta", "setuptools.no_such_module"))
    assert make(tmp_path).returncode != 0
    assert not (tmp_path / ".venv/command").exists()
    (tmp_path / "pyproject.toml").write_text(whole, encoding="utf-8")
    result = make(tmp_path)
    assert result.returncode == 0, result.stderr
    assert make(tmp_path).stdout == "make: '.venv/command' is up to date.\n"

    (tmp_path / "smallvision/commands/export.py").write_text("def main(arguments): print('edited', arguments)")
    command = [tmp_path / ".venv/bin/smallvision", "export", "--format", "onnx"]
    result = subprocess.run(command, cwd=tmp_path.parent, capture_output=True, text=True, check=True)
    assert result.stdout == "edited ['--format', 'onnx']\n"
    assert not list(tmp_path.glob("build"))


@pytest.mark.skipif(
    "smallvision" not in {each.metadata["name"] for each in importlib.metadata.distributions()},
    reason="the project is not installed: `make setup` does it",
)
def test_experiments_in_copies_run_the_code_of_the_copy(tmp_path):
    """They do not run the code of the project whose environment they use."""
    source, other = (write_zip(tmp_path / name, kaggle_members(8)) for name in ("pictures.zip", "other.zip"))
    repository = make_repository(tmp_path / "a project", source, **SMALL)
    package = repository.folder / "smallvision/__init__.py"
    package.write_text(package.read_text(encoding="utf-8") + "\nprint('code of', __file__)\n", encoding="utf-8")
    outside = {"PYTHONPATH": ""}

    output = repository.run("dvc", "exp", "run", "--temp", "fetch", **outside)
    assert f"code of {repository.folder / '.dvc/tmp/exps'}" in output, output
    repository.commit()
    repository.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", f"source={other}", "fetch", **outside)
    repository.run("dvc", "queue", "start", **outside)
    deadline = time.monotonic() + 240
    while "Success" not in (status := repository.run("dvc", "queue", "status")):
        assert "Failed" not in status, repository.run("dvc", "queue", "logs", "queued")
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert f"code of {repository.folder / '.dvc/tmp/exps'}" in repository.run("dvc", "queue", "logs", "queued")
