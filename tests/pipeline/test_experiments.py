"""Real DVC runs experiments in the workspace and beside it, and a learning curve is made of them."""

import json
import sys
import time

import pytest
from PIL import Image

from tests.pipeline.repository import Repository

pytestmark = pytest.mark.slow


def test_an_experiment_in_the_workspace(base: Repository):
    base.run("dvc", "exp", "run", "--name", "slow", "-S", "lr=1e-5")
    assert "lr: 1e-05" in (base.folder / "params.yaml").read_text()
    (changed,) = json.loads(base.run("dvc", "params", "diff", "--json"))["params.yaml"].items()
    assert changed == ("lr", {"old": 1e-4, "new": 1e-5, "diff": -9e-05})
    assert "val_acc" in base.run("dvc", "metrics", "diff", "--all")
    assert "slow" in base.run("dvc", "exp", "show", "--csv")
    for pair in (("main", "slow"), ("main", "workspace"), ("slow", "workspace")):
        compared = json.loads(base.run("python", "-m", "smallvision", "compare", "--json", *pair))
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
    """Each point is an experiment in a copy of the project; once it has run, it is not run again."""
    module = [sys.executable, "-m", "smallvision", "learning_curve"]
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
    assert failed.count("Running stage 'train'") == 1  # the other recipe's points are not trained again
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
    command = [sys.executable, "-m", "smallvision", "learning_curve", "--limits", "4", "7"]
    too_many = base.run(*command, check=False)
    assert too_many.splitlines()[-1].startswith(
        "learning_curve: --limits: 7 is more than the 6 training pictures of the largest class"
    )
