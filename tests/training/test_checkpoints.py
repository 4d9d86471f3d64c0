"""A training that was interrupted goes on, and ends as if it had not been interrupted."""

import time
from functools import partial

import numpy as np
import pytest

from smallvision.core.params import Augment
from smallvision.models.residual import build_residual
from smallvision.training.checkpoints import Checkpoints, State
from smallvision.training.fitting import fit
from smallvision.training.hooks import Hooks
from smallvision.training.transfer import fit_on_base
from tests.training.helpers import (
    SWAPPED,
    TRAIN,
    VALIDATION,
    assert_equal,
    build_tiny,
    end_after,
    hooks_in,
    make_base,
    make_plan,
)  # fmt: skip

SLOW = pytest.mark.slow


def train(folder=None, **settings):
    augment = Augment(rotation=40, flip=True)
    plan = make_plan(**{"schedule": "cosine", "augment": augment} | settings)
    return fit(partial(build_tiny, 2, 0.5), TRAIN, SWAPPED, plan, hooks_in(folder))


@pytest.fixture(scope="module")
def uninterrupted():
    result = train()
    assert result.best_epoch == 1  # so that a state without the best weights is noticed
    return result


def assert_goes_on(capsys, training, epochs, whole, seconds):
    """A training goes on after its first epochs, which took fewer than these seconds, and ends as the whole one did."""
    capsys.readouterr()
    again = training()
    assert_equal(again, whole)
    assert whole.earlier == 0 < again.earlier < seconds
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"going on after epoch {epochs} of 4, where an earlier run ended"
    assert [line.split()[1] for line in lines[1:]] == [f"{n}/4" for n in range(epochs + 1, 5)]


def test_a_training_goes_on_to_the_same_end(tmp_path, capsys):
    """The state is that which an uninterrupted training had after three epochs, so one training fewer is needed."""
    training = partial(train, tmp_path, augment=None)
    save = Checkpoints.save
    begin = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", lambda self, state: len(state.history) > 3 or save(self, state))
        whole = training()
    assert whole.best_epoch == 1  # so that a state without the best weights is noticed
    assert_goes_on(capsys, training, 3, whole, time.monotonic() - begin)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_an_interrupted_training_goes_on_to_the_same_end(tmp_path, capsys, uninterrupted, epochs):
    begin = time.monotonic()
    end_after(epochs, lambda: train(tmp_path))
    assert_goes_on(capsys, partial(train, tmp_path), epochs, uninterrupted, time.monotonic() - begin)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 3])
def test_early_stopping_goes_on_counting(tmp_path, epochs):
    """This also holds if the run was interrupted right after its last epoch."""
    training = partial(train, lr=1e-30, patience=2)  # no epoch can be better than the first
    end_after(epochs, lambda: training(tmp_path))
    again = training(tmp_path)
    assert len(again.history) == 3
    assert_equal(again, training())


@pytest.mark.slow
def test_pictures_go_on_growing_and_mixing(tmp_path):
    """They grow from 46 to 62 pixels, in the third of four epochs."""
    augment = Augment(crop=0.5, mixup=0.2, size=62, first_size=46)

    def training(folder=None, augment=augment):
        plan = make_plan(network="residual", augment=augment)
        return fit(partial(build_residual, None, 2), TRAIN, VALIDATION, plan, hooks_in(folder))

    grown, fixed = training(), training(augment=augment.model_copy(update={"first_size": None}))
    assert grown.history[0]["loss"] != pytest.approx(fixed.history[0]["loss"], rel=1e-3)
    again = partial(training, tmp_path)
    end_after(1, again)
    assert_equal(again(), grown)


def save(folder, epochs):
    """Write the states of a training that never ran."""
    states = [
        State([np.full(3, float(n))], [np.full(2, float(n))], [{"acc": 0.5}] * n, float(n))
        for n in range(1, epochs + 1)
    ]
    for state in states:
        Checkpoints(folder).save(state)
    return states


def test_two_states_are_kept(tmp_path):
    states = save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-000003", "epoch-000004"]
    found = Checkpoints(tmp_path).load()
    assert np.array_equal(found.variables, states[3].variables)
    assert np.array_equal(found.best, states[3].best)
    assert (found.history, found.seconds) == (states[3].history, 4.0)


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda data: b"", lambda data: data[:100], lambda data: bytes(len(data))])
def test_a_damaged_state_is_named_deleted_and_passed_over(tmp_path, capsys, damage):
    save(tmp_path, 3)
    newest = tmp_path / "epoch-000003"
    newest.write_bytes(damage(newest.read_bytes()))
    assert len(Checkpoints(tmp_path).load().history) == 2
    assert f"{newest}: damaged; going back to the one before it" in capsys.readouterr().err
    assert not newest.exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(flip, id="one bit", marks=SLOW),
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
    """Uninterrupted trainings, by the parameters that they depend on."""
    return {}


FLIP = Augment(flip=True)


# Each phase has two epochs. The training is interrupted in the first phase, at its end, and in the second.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "augment", "epochs"),
    [
        ("rmsprop", None, 1), ("rmsprop", None, 2), ("rmsprop", FLIP, 1), ("rmsprop", FLIP, 3),
        ("adamw", None, 3), ("adamw", FLIP, 1), ("muon", FLIP, 3),
    ],
)  # fmt: skip
def test_both_phases_of_fine_tuning_go_on(tmp_path, monkeypatch, wholes, optimizer, augment, epochs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def finetune(states=None):
        top = {"unfreeze": "two_conv", "finetune_lr": 1e-3, "finetune_epochs": 2}
        plan = make_plan(
            epochs=2, backbone="base.keras", units=4, dropout=0.5, augment=augment, optimizer=optimizer, **top
        )
        return fit_on_base(make_base(), TRAIN, VALIDATION, 2, plan, Hooks(states))

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
