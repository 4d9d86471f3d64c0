"""The project with small pictures and a short training, in a Git repository of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ruamel.yaml

from tests.conftest import ROOT

EVERYTHING = ["fetch", "split", "train", "evaluate"]
SMALL = {
    "split.train": 4,
    "split.validation": 2,
    "split.test": 2,
    "image_size": 46,
    "batch_size": 4,
    "precision": "float32",
    "recipes": {"baseline": {"epochs": 1}, "other": {"epochs": 1, "dropout": 0.5, "augment": {"rotation": 40}}},
}


class Repository:
    """A Git repository of the project with small pictures and a short training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # `python` in dvc.yaml must be the Python that runs the tests.
        self._environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command as the leader of a session of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        result = subprocess.run(
            command, cwd=self.folder, env=self._environment | environment, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        output = result.stdout + result.stderr
        assert result.returncode == 0 or not check, output
        return output

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message=state")

    def change(self, **values: object) -> None:
        """Edit params.yaml as a person would: keys with dots, comments kept."""
        yaml = ruamel.yaml.YAML()
        path = self.folder / "params.yaml"
        content = yaml.load(path.read_text(encoding="utf-8"))
        for key, value in values.items():
            section = content
            *parents, last = key.split(".")
            for parent in parents:
                section = section[parent]
            section[last] = value
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)

    def reproduce(self) -> list[str]:
        """Run `dvc repro` and return the stages that ran."""
        return re.findall(r"^Running stage '(\w+)':$", self.run("dvc", "repro"), re.M)

    def clone(self, folder: Path) -> "Repository":
        self.run("git", "clone", "--quiet", str(self.folder), str(folder))
        return Repository(folder)


def make_repository(folder: Path, source: Path, **params: object) -> Repository:
    """Make a repository of the files that Git tracks here, with these parameters, and commit it."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    repository = Repository(folder)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.change(source=str(source), **params)
    repository.commit()
    return repository
