"""The train stage: which trainings are the same, and how one goes on after it was ended."""

import json
import shutil
import signal
import time

import pytest
import yaml

from smallvision.training import checkpoints, run
from smallvision.training.checkpoints import training_key
from stages import train as train_stage
from tests.conftest import PARAMS, Project, kaggle_members, write_zip


def test_states_of_another_training_are_not_taken(monkeypatch):
    facts = {"seed": 1, "lr": 1e-3, "pictures": "ab"}
    key = training_key(facts)
    assert training_key(dict(facts)) == key
    assert all(training_key(facts | change) != key for change in ({"seed": 2}, {"lr": 1e-4}, {"pictures": "cd"}))
    monkeypatch.setattr(checkpoints, "version", lambda name: "0")
    assert training_key(facts) != key


@pytest.fixture(scope="module")
def pictures_split(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("split"))
    write_zip(project.folder / "pictures.zip", kaggle_members(8))
    for stage in (project.fetch, project.split):
        assert stage().returncode == 0
    return project


def key_in(project: Project) -> str:
    """The key of the training that the train stage would start in this project."""
    keys = []

    def keep(facts):
        keys.append(training_key(facts))
        raise StopIteration

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        patch.setattr(run, "training_key", keep)
        with pytest.raises(StopIteration):
            train_stage.main(["data/pictures", ".", "train.json", ".", "logs"])
    return keys[0]


@pytest.fixture(scope="module")
def key(pictures_split) -> str:
    return key_in(pictures_split)


@pytest.mark.parametrize(
    "change",
    [
        {}, {"seed": 43}, {"image_size": 48}, {"lr": 1e-5}, {"batch_size": 5}, {"precision": "bfloat16"},
        {"split": {"train": 4, "validation": 2, "test": 1}}, {"train_limit": 3},
        {"recipes": {"baseline": {"epochs": 1, "dropout": 0.1}}},
    ],
    ids=lambda change: next(iter(change), "nothing"),
)  # fmt: skip
def test_a_changed_parameter_makes_it_another_training(pictures_split, key, project, change):
    shutil.copytree(pictures_split.folder, project.folder, dirs_exist_ok=True)
    path = project.folder / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    if "split" in change:
        assert project.split().returncode == 0
    assert (key_in(project) == key) is (change == {})


LONGER = PARAMS.replace("train: 4, validation: 2", "train: 12, validation: 8").replace(
    "baseline: {{epochs: 1}}",
    "baseline: {{epochs: 8, schedule: cosine, dropout: 0.5, augment: {{rotation: 40, flip: true}}}}",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Project:
    """A project whose training nothing ended."""
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    write_zip(project.folder / "pictures.zip", kaggle_members(22))
    project.write_params(text=LONGER)
    for stage in (project.fetch, project.split, project.train):
        assert stage().returncode == 0
    return project


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "code", "moment"),
    [
        (signal.SIGKILL, -9, "epoch-000002"),
        (signal.SIGKILL, -9, "part-epoch-00000[2-6]"),  # while a state is being written
        (signal.SIGTERM, 143, "epoch-000002"),
        (signal.SIGINT, 130, "epoch-000002"),
    ],
)
def test_the_stage_goes_on_after_a_signal(undisturbed, project, stop, code, moment):
    shutil.copytree(undisturbed.folder, project.folder, dirs_exist_ok=True)
    outputs = {name: (project.folder / name).read_text() for name in ("train.json", "history.csv")}
    for name in ("model.keras", "model.json", *outputs):
        (project.folder / name).unlink()

    folder = project.folder / "model-checkpoints"
    with project.start("stages.train", "data/pictures", ".", "train.json", ".", "logs") as process:
        while not list(folder.rglob(moment)):
            assert process.poll() is None
            time.sleep(0.001)
        asked = time.monotonic()
        process.send_signal(stop)
        output, _ = process.communicate()
    assert process.returncode == code, output
    assert time.monotonic() - asked < 10
    assert not (project.folder / "model.keras").exists()
    # What plots and `dvc exp show` read moves with the epochs, and names no model yet.
    so_far = (project.folder / "history.csv").read_text()
    assert len(so_far.splitlines()) >= 2
    assert outputs["history.csv"].startswith(so_far)
    assert "model" not in json.loads((project.folder / "train.json").read_text())

    result = project.train()
    assert result.returncode == 0, result.stderr
    assert "going on after epoch" in result.stdout
    assert (project.folder / "history.csv").read_text() == outputs["history.csv"]
    without_seconds = [[line for line in text.splitlines() if "seconds" not in line]
                       for text in (outputs["train.json"], (project.folder / "train.json").read_text())]  # fmt: skip
    assert without_seconds[0] == without_seconds[1]
    assert not list(folder.iterdir())
    assert not list(project.folder.rglob("part-*"))
