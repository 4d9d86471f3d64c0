"""A training that was ended goes on where it was, and ends as if it had never been."""

import json
import shutil
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest
import yaml

import smallvision
from smallvision.core.params import Augment
from smallvision.models.residual import residual
from smallvision.training import checkpoints
from smallvision.training import run as training
from smallvision.training.checkpoints import Checkpoints, training_key
from smallvision.training.fitting import fit
from smallvision.training.transfer import Head, Top, fit_on_base
from stages import train as train_stage
from tests.conftest import PARAMS, Project, assert_one_line, kaggle_members, write_zip
from tests.training.test_fitting import SWAPPED, TRAIN, VALIDATION, tiny
from tests.training.test_transfer import make_base

SLOW = pytest.mark.slow
OPTIONS = {"batch_size": 8, "lr": 1e-3, "seed": 7, "precision": "float32"}


def end_after(epochs, training):
    """End a training by Ctrl-C once so many states are written."""
    save, saved = Checkpoints.save, []

    def save_and_end(self, state):
        save(self, state)
        saved.append(state)
        if len(saved) == epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            training()


def train(folder=None, **options):
    return fit(
        partial(tiny, 2, 0.5),
        TRAIN,
        SWAPPED,
        checkpoints=folder and Checkpoints(folder),
        **{"epochs": 4, "schedule": "cosine", "augment": Augment(rotation=40, flip=True)} | OPTIONS | options,
    )


def assert_equal(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def uninterrupted():
    result = train()
    assert result.best_epoch == 1  # so that a state without the best weights is noticed
    return result


@pytest.mark.parametrize("epochs", [3, pytest.param(1, marks=SLOW), pytest.param(4, marks=SLOW)])
def test_a_training_goes_on_to_the_same_end(tmp_path, capsys, uninterrupted, epochs):
    begin = time.monotonic()
    end_after(epochs, lambda: train(tmp_path))
    capsys.readouterr()
    start = time.monotonic()
    again = train(tmp_path)
    assert_equal(again, uninterrupted)
    assert uninterrupted.earlier == 0 < again.earlier
    assert again.earlier < start - begin  # what the ended run took
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"going on after epoch {epochs} of 4, where an earlier run ended"
    assert [line.split()[1] for line in lines[1:]] == [f"{n}/4" for n in range(epochs + 1, 5)]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 3])
def test_early_stopping_goes_on_counting(tmp_path, epochs):
    """Also when the run was ended between its last epoch and what follows."""
    training = partial(train, lr=1e-30, patience=2)  # no epoch can be better than the first
    end_after(epochs, lambda: training(tmp_path))
    again = training(tmp_path)
    assert len(again.history) == 3
    assert_equal(again, training())


@pytest.mark.slow
def test_pictures_go_on_growing_and_mixing(tmp_path):
    """From 46 to 62 pixels, in the third of four epochs."""
    options = {"batch_size": 8, "lr": 1e-3, "seed": 7, "precision": "float32", "epochs": 4}
    augment = Augment(crop=0.5, mixup=0.2, size=62, first_size=46)

    def training(folder=None, augment=augment):
        checkpoints = folder and Checkpoints(folder)
        return fit(partial(residual, None, 2), TRAIN, VALIDATION, augment=augment, checkpoints=checkpoints, **options)

    grown, fixed = training(), training(augment=augment.model_copy(update={"first_size": None}))
    assert grown.history[0]["loss"] != pytest.approx(fixed.history[0]["loss"], rel=1e-3)
    for epochs in (1, 3):
        again = partial(training, tmp_path / str(epochs))
        end_after(epochs, again)
        assert_equal(again(), grown)


def test_two_states_are_kept(tmp_path):
    train(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000003", "epoch-000004"]


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(flip, id="one bit"),
        pytest.param(lambda data: b"", id="empty", marks=SLOW),
        pytest.param(lambda data: data[:1000], id="cut", marks=SLOW),
        pytest.param(lambda data: bytes(len(data)), id="zeros", marks=SLOW),
    ],
)  # fmt: skip
def test_from_a_damaged_state_it_goes_back_to_the_one_before(tmp_path, capsys, uninterrupted, damage):
    end_after(3, lambda: train(tmp_path))
    newest = tmp_path / "epoch-000003"
    newest.write_bytes(damage(newest.read_bytes()))
    capsys.readouterr()
    assert_equal(train(tmp_path), uninterrupted)
    output = capsys.readouterr()
    assert f"{newest}: damaged" in output.err
    assert "going on after epoch 2 of 4" in output.out


@pytest.mark.slow
def test_with_every_state_damaged_it_starts_again(tmp_path, capsys, uninterrupted):
    end_after(2, lambda: train(tmp_path))
    for path in tmp_path.iterdir():
        path.write_bytes(b"PK")
    end_after(1, lambda: train(tmp_path))
    assert capsys.readouterr().err.count(": damaged;") == 2
    assert_equal(train(tmp_path), uninterrupted)
    assert "going on after epoch 1 of 4" in capsys.readouterr().out


@pytest.fixture(scope="module")
def wholes():
    """Trainings that nothing ended, by what they depend on."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 3])
@pytest.mark.parametrize("augment", [None, Augment(flip=True)])
@pytest.mark.parametrize("optimizer", ["rmsprop", "adamw", "muon"])
def test_both_phases_of_fine_tuning_go_on(tmp_path, monkeypatch, wholes, optimizer, augment, epochs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def finetune(states=None):
        return fit_on_base(
            make_base(), Head("average", 4, 0.5), TRAIN, VALIDATION, 2, mirror=False, augment=augment,
            top=Top("two_conv", 1e-3, 2), epochs=2, optimizer=optimizer, checkpoints=states, **OPTIONS,
        )  # fmt: skip

    key = optimizer, augment is None
    if key not in wholes:
        wholes[key] = finetune()
    states = Checkpoints(tmp_path / "states")
    end_after(epochs, lambda: finetune(states))
    again = finetune(states)
    assert_equal(again, wholes[key])
    assert again.earlier > 0
    states.remove()
    assert not states.folder.exists()


def test_states_of_another_training_are_not_taken(tmp_path, monkeypatch):
    facts = {"seed": 1, "lr": 1e-3, "pictures": "ab"}
    key = training_key(facts)
    assert training_key(dict(facts)) == key
    assert all(training_key(facts | change) != key for change in ({"seed": 2}, {"lr": 1e-4}, {"pictures": "cd"}))
    monkeypatch.setattr(checkpoints, "version", lambda name: "0")
    assert training_key(facts) != key
    monkeypatch.undo()
    (tmp_path / "smallvision").mkdir()
    (tmp_path / "smallvision/__init__.py").write_text("changed = True\n")
    monkeypatch.setattr(smallvision, "__file__", str(tmp_path / "smallvision/__init__.py"))
    assert training_key(facts) != key


@pytest.fixture(scope="module")
def pictures_split(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("split"))
    write_zip(project.folder / "pictures.zip", kaggle_members(8))
    for stage in (project.fetch, project.split):
        assert stage().returncode == 0
    return project


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43}, {"image_size": 48}, {"lr": 1e-5}, {"batch_size": 5}, {"precision": "bfloat16"},
        {"split": {"train": 4, "validation": 2, "test": 1}}, {"train_limit": 3},
        {"recipes": {"baseline": {"epochs": 1, "dropout": 0.1}}},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_changed_parameter_makes_it_another_training(pictures_split, project, monkeypatch, change):
    shutil.copytree(pictures_split.folder, project.folder, dirs_exist_ok=True)
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys, "argv", ["train", "data/pictures", "model.keras", "train.json", "history.csv"])
    monkeypatch.setattr(training, "import_tensorflow", lambda: None)  # it is; and this would set the environment
    keys = []

    def key_of(facts):
        keys.append(training_key(facts))
        raise StopIteration

    monkeypatch.setattr(checkpoints, "training_key", key_of)
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for content in (params, params, params | change):
        path.write_text(yaml.safe_dump(content))
        if len(keys) == 2 and "split" in change:
            assert project.split().returncode == 0
        with pytest.raises(StopIteration):
            train_stage.main()
    assert keys[0] == keys[1] != keys[2]


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
    with project.start("stages.train", "data/pictures", "model.keras", "train.json", "history.csv") as process:
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


def test_only_one_process_writes_an_output(project):
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
