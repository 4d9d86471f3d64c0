"""Real DVC in real Git repositories: what runs when, and that every line of the README's works."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ruamel.yaml
from PIL import Image

from tests.conftest import ROOT, kaggle_members, write_zip

pytestmark = pytest.mark.slow

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
    """The working tree as Git sees it, with these parameters, committed."""
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


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """A small one, run once and committed."""
    source = write_zip(tmp_path_factory.mktemp("source") / "pictures.zip", kaggle_members(8))
    repository = make_repository(tmp_path_factory.mktemp("project") / "a clone", source, **SMALL)
    assert repository.reproduce() == EVERYTHING
    repository.commit()
    return repository


@pytest.fixture
def base(repository: Repository) -> Repository:
    """The repository as it was committed, pictures and model included."""
    repository.run("git", "checkout", "--quiet", "--", ".")
    repository.run("dvc", "checkout", "--quiet")
    return repository


def test_a_second_run_does_nothing(base: Repository):
    assert base.reproduce() == []
    assert base.run("git", "status", "--short") == ""


@pytest.mark.parametrize(
    ("stage", "values"),
    [
        (
            "train",
            {
                "lr": 1e-5, "seed": 43, "image_size": 48, "batch_size": 3, "train_limit": 2, "precision": "auto",
                "device": "cpu", "class_weights": "balanced", "recipe": "other", "recipes.baseline.epochs": 2,
                "tensorboard": True,
            },
        ),
        ("split", {"split.train": 3, "split.validation": 1, "split.test": 1, "split.max_rejected": 0.2}),
        (None, {"recipes.other.epochs": 5}),
    ],
)  # fmt: skip
def test_a_parameter_changes_exactly_the_stage_that_depends_on_it(base: Repository, stage, values):
    for key, value in values.items():
        base.change(**{key: value})
        assert list(json.loads(base.run("dvc", "status", "--json"))) == ([stage] if stage else []), key
        base.run("git", "checkout", "--quiet", "--", "params.yaml")


@pytest.mark.parametrize(
    ("values", "stages"),
    [
        ({"recipe": "other", "recipes.other.epochs": 5}, ["train", "evaluate"]),
        ({"split.train": 3, "split.validation": 1, "split.test": 1}, ["split", "train", "evaluate"]),
        ({"split.max_rejected": 0.2}, ["split"]),  # the same pictures come out
    ],
)
def test_a_stage_runs_those_that_depend_on_what_it_makes(base: Repository, values, stages):
    base.change(**values)
    assert base.reproduce() == stages


def test_another_source_runs_everything(base: Repository, tmp_path):
    others = {name.replace("cat", "owl"): data for name, data in kaggle_members(8).items()}
    base.change(source=str(write_zip(tmp_path / "owls.zip", others)))
    assert base.reproduce() == EVERYTHING
    metrics = json.loads((base.folder / "metrics/test.json").read_text())
    assert metrics["source"] == "owls.zip"
    assert "recall_owl" in metrics


def test_a_wrong_parameter_stops_dvc_with_our_line(base: Repository):
    output = base.run("dvc", "exp", "run", "-S", "lr=abc", check=False)
    assert "train: params.yaml: lr: expected a valid number, received 'abc'" in output
    assert "Traceback" not in output


def test_shares_in_place_of_counts(base: Repository):
    shares = [f"split.{subset}={share}" for subset, share in (("train", 0.5), ("validation", 0.25), ("test", 0.25))]
    output = base.run("dvc", "exp", "run", *(word for share in shares for word in ("-S", share)))
    assert "cat, dog: 8 train, 4 validation, 4 test" in output
    output = base.run("dvc", "exp", "run", "-S", "split.train=8", check=False)
    assert "split: params.yaml: split: train, validation and test are all pictures per class or all shares" in output


def test_an_experiment_in_the_workspace(base: Repository):
    base.run("dvc", "exp", "run", "--name", "slow", "-S", "lr=1e-5")
    assert "lr: 1e-05" in (base.folder / "params.yaml").read_text()
    (changed,) = json.loads(base.run("dvc", "params", "diff", "--json"))["params.yaml"].items()
    assert changed == ("lr", {"old": 1e-4, "new": 1e-5, "diff": -9e-05})
    assert "val_acc" in base.run("dvc", "metrics", "diff", "--all")
    assert "slow" in base.run("dvc", "exp", "show", "--csv")
    for pair in (("main", "slow"), ("main", "workspace"), ("slow", "workspace")):
        compared = json.loads(base.run("python", "-m", "smallvision.compare", "--json", *pair))
        assert compared["n"] == 4
    assert (compared["only_a"], compared["only_b"]) == (0, 0)


def test_experiments_beside_the_workspace_of_a_fresh_clone(base: Repository, tmp_path):
    """--temp and --queue run in copies of what Git tracks."""
    clone = base.clone(tmp_path / "clone")
    clone.run("dvc", "exp", "run", "--temp", "--name", "aside", "-S", "lr=1e-5")
    clone.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "recipe=baseline,other", "-S", "seed=8")
    assert clone.run("git", "status", "--short") == ""
    clone.run("dvc", "queue", "start")
    deadline = time.monotonic() + 240
    while (status := clone.run("dvc", "queue", "status")).count("Success") < 2 and time.monotonic() < deadline:
        assert "Failed" not in status, clone.run("dvc", "queue", "logs", "queued-1")
        time.sleep(1)
    shown = clone.run("dvc", "exp", "show", "--csv")
    assert all(name in shown for name in ("aside", "queued-1", "queued-2"))


def test_a_learning_curve(base: Repository):
    """In copies of the project; each point is an experiment, and once it is done, DVC has it."""
    module = [sys.executable, "-m", "smallvision.learning_curve"]
    command = [*module, "--recipes", "baseline", "other", "--limits", "4", "2"]
    first = base.run(*command)
    assert base.run("git", "status", "--short") == ""
    csv = (base.folder / "data/learning_curve.csv").read_text()
    rows = [row.split(",") for row in csv.splitlines()]
    assert rows[0] == ["recipe", "pictures", "acc", "acc_low", "acc_high", "seconds"]
    assert [row[:2] for row in rows[1:]] == [["baseline", "2"], ["baseline", "4"], ["other", "2"], ["other", "4"]]
    for name, count in (("curve-other-2", 4), ("curve-other-4", 8)):
        reference = base.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}").strip()
        training = json.loads(base.run("git", "show", f"{reference}:metrics/train.json"))
        assert (training["recipe"], training["train_n"]) == ("other", count)
    with Image.open(base.folder / "data/learning_curve.png") as picture:
        assert picture.size == (840, 540)
    assert first.count("Running stage 'train'") == 4
    again = base.run(*command)
    assert again.count("Running stage 'train'") == 0
    assert (base.folder / "data/learning_curve.csv").read_text() == csv
    assert again.splitlines()[-6:] == first.splitlines()[-6:]

    base.change(**{"recipes.other.lr": 1e30})
    failed = base.run(*command, check=False)
    assert failed.count("Running stage 'train'") == 1  # the points of the other recipe are as they were
    assert "train: the " in failed
    assert failed.splitlines()[-1].startswith("learning_curve: experiment curve-other-2 failed, see above")
    too_many = base.run(*module, "--limits", "4", "5", check=False)
    assert "learning_curve: --limits: 5 is more than the 4 training pictures of the largest class" in too_many
    assert "--limits: expected at least 1, received 0" in base.run(*module, "--limits", "0", check=False)
    assert "--recipes: there is no 'othre'" in base.run(*module, "--recipes", "othre", check=False)
    outside = base.run(*module, "--limits", "2", check=False, GIT_DIR="nowhere")
    assert outside.splitlines()[-1].startswith("learning_curve: `git for-each-ref")


def test_a_learning_curve_of_shares_has_no_point_beyond_the_last_picture(base: Repository):
    base.change(**{"split.train": 0.75, "split.validation": 0.125, "split.test": 0.125})
    command = [sys.executable, "-m", "smallvision.learning_curve", "--limits", "4", "7"]
    too_many = base.run(*command, check=False)
    assert too_many.splitlines()[-1].startswith(
        "learning_curve: --limits: 7 is more than the 6 training pictures of the largest class"
    )


def test_metrics_and_plots_can_be_shown(base: Repository):
    shown = json.loads(base.run("dvc", "metrics", "show", "--json"))[""]["data"]
    assert shown["metrics/test.json"]["data"]["n"] == 4
    assert shown["metrics/train.json"]["data"]["precision"] == "float32"
    base.run("dvc", "plots", "show")
    page = (base.folder / "dvc_plots/index.html").read_text()
    assert all(name in page for name in ("val_acc", "val_loss", "confusion_matrix", "mistakes.png", "gradcam.png"))


def test_a_fresh_clone_makes_the_same_metrics(base: Repository, tmp_path):
    clone = base.clone(tmp_path / "clone")
    assert clone.reproduce() == EVERYTHING
    ours, theirs = (
        [json.loads((r.folder / f"metrics/{name}.json").read_text()) for name in ("train", "test")]
        for r in (base, clone)
    )
    for metrics in [*ours, *theirs]:
        # A .keras file holds the time it was saved, so its hash is new each time.
        metrics.pop("seconds", None)
        metrics.pop("model", None)
    assert ours == theirs


def test_the_default_source_runs_without_anything_else(base: Repository):
    base.change(source="drawn")
    assert base.reproduce() == EVERYTHING
    assert json.loads((base.folder / "metrics/test.json").read_text())["source"] == "drawn"


def test_the_committed_lock_and_metrics_are_in_step():
    """Code, parameters and metrics are those of dvc.lock; data/ and sheets are not in Git, and may be missing."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    problems = []
    for stage, changes in json.loads(result.stdout).items():
        for change in changes:
            files = next(iter(change.values())) if isinstance(change, dict) else {change: "changed"}
            problems += [
                f"{stage}: {file} {state}"
                for file, state in files.items()
                if not (file.startswith("data/") or (file.endswith(".png") and state in ("not in cache", "deleted")))
            ]
    assert not problems, "run `make`, then commit dvc.lock and metrics/"
