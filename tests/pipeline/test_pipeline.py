"""Real DVC in real Git repositories runs the right stages, and every command of the README works."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT, kaggle_members, write_zip
from tests.pipeline.repository import EVERYTHING, Repository

pytestmark = pytest.mark.slow


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
        ({"split.max_rejected": 0.2}, ["split"]),  # the pictures stay the same
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
    code = base.folder / "smallvision/data/sources/drawn.py"
    text = code.read_text(encoding="utf-8")
    fewer = text.replace('{"cat": 2000, "dog": 2000}', '{"cat": 8, "dog": 8}')  # drawing all of them takes a minute
    assert fewer != text
    code.write_text(fewer, encoding="utf-8")
    assert base.reproduce() == EVERYTHING
    assert json.loads((base.folder / "metrics/test.json").read_text())["source"] == "drawn"


def test_the_committed_lock_and_metrics_are_in_step():
    """Code, parameters and metrics are those of dvc.lock. Files in data/ and sheets may be missing: Git has none."""
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
