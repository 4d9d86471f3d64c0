"""Sweeps on real Ray work here, after an interruption, and on a cluster that loses a machine."""

import contextlib
import csv
import importlib.util
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.cluster import ADDRESSES, cluster, kill, networks_can_be_made, wait_for
from tests.conftest import listen_to_ctrl_c, make_picture, write_zip
from tests.pipeline.repository import SMALL, Repository, make_repository
from tests.training.test_reports import logged

LONG = 36  # epochs of a training that is interrupted several times
SWEEP = (sys.executable, "-m", "smallvision", "sweep")
RANGE = ("-S", "lr=tag(log, interval(1e-5, 1e-3))", "-S", "batch_size=4,8")

needs_ray = pytest.mark.skipif(
    not (importlib.util.find_spec("ray") and importlib.util.find_spec("optuna")),
    reason="Ray or Optuna is missing: `make setup-sweep` installs them",
)
needs_network = pytest.mark.skipif(
    not networks_can_be_made(), reason="a network of one's own cannot be made here: `unshare --map-root-user --net`"
)


def dark_cats_and_bright_dogs(count: int) -> dict[str, bytes]:
    """Pictures that a few steps learn to tell apart."""
    members = {}
    for number in range(count):
        for label, least in (("cat", 0), ("dog", 170)):
            data = io.BytesIO()
            make_picture(2 * number + (label == "dog")).point(lambda v, least=least: least + v // 3).save(data, "JPEG")
            members[f"train/{label}.{number}.jpg"] = data.getvalue()
    return members


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    source = write_zip(tmp_path_factory.mktemp("source") / "pictures.zip", dark_cats_and_bright_dogs(30))
    recipes = {"baseline": {"epochs": 4}, "long": {"epochs": LONG}}
    sizes = {"split.train": 16, "split.validation": 8, "split.test": 4}
    repository = make_repository(
        tmp_path_factory.mktemp("sweeps") / "a project", source, **SMALL | sizes | {"recipes": recipes}
    )
    repository.run("dvc", "repro", "split")
    repository.commit()
    return repository


def rows(repository: Repository) -> list[dict[str, str]]:
    with (repository.folder / "data/sweep.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def model_of(metrics: Path) -> str:
    return json.loads(metrics.read_text())["model"]


def folders_of(repository: Repository) -> dict[str, Path]:
    """The folders of the trials of the only sweep."""
    return {path.name: path for path in (repository.folder / "data/sweeps").glob("*/*") if path.name.isdecimal()}


@pytest.fixture(autouse=True)
def no_sweep_before(request):
    if "repository" in request.fixturenames:
        repository = request.getfixturevalue("repository")
        repository.run("git", "clean", "-qfdx", "data/sweeps", "data/tensorboard")


@needs_ray
@pytest.mark.slow
def test_the_winner_is_what_its_line_trains(repository):
    pictures = repository.folder / "data/pictures"
    for path in pictures.rglob("*.jpg"):
        os.utime(path, ns=(0, path.stat().st_mtime_ns))
    output = repository.run(*SWEEP, *RANGE, "--trials", "2", "--search", "random")
    read = {
        name: any(path.stat().st_atime_ns for path in (pictures / name).rglob("*.jpg")) for name in ("train", "test")
    }
    if read["train"]:  # otherwise the file system does not record reading
        assert not read["test"]
    trials = rows(repository)
    assert [trial["trial"] for trial in trials] == ["1", "2"]
    assert (trials[0]["lr"], trials[0]["batch_size"]) == ("0.0001", "4")  # the values in params.yaml
    assert (repository.folder / "data/sweep.png").read_bytes().startswith(b"\x89PNG")
    *_, found, _, line = output.strip().splitlines()
    best = max((t for t in trials if t["state"] == "finished"), key=lambda trial: float(trial["val_acc"]))
    assert f"best: trial {best['trial']}" in found
    assert f"{float(best['val_acc']):.1%}" in found
    assert shlex.split(line) == [
        "dvc",
        "exp",
        "run",
        "-S",
        f"lr={best['lr']}",
        "-S",
        f"batch_size={best['batch_size']}",
    ]
    expected = model_of(folders_of(repository)[best["trial"]] / "train.json")

    again = repository.run(*SWEEP, *RANGE, "--trials", "2", "--search", "random")
    assert again.strip().splitlines()[-1] == line
    assert rows(repository) == trials  # even the seconds are equal, because nothing was trained

    repository.run(*shlex.split(line))
    assert model_of(repository.folder / "metrics/train.json") == expected
    repository.run("git", "checkout", "--quiet", "--force", ".")


@needs_ray
@pytest.mark.slow
def test_all_of_a_few_combinations_are_tried_and_one_that_diverges_has_no_accuracy(repository):
    output = repository.run(*SWEEP, "-S", "lr=1e-4,1e20", "-S", "recipe=baseline", "--trials", "9", "--cpus", "1")
    good, diverged = rows(repository)
    assert (good["state"], good["lr"], good["recipe"]) == ("finished", "0.0001", "baseline")
    assert (diverged["state"], diverged["val_acc"]) == ("diverged", "")
    assert "the loss" in diverged["reason"]
    assert output.strip().splitlines()[-1] == "dvc exp run -S recipe=baseline -S lr=0.0001"
    assert "sweep: 2 trials, 1 to the end" in output


@needs_ray
@pytest.mark.slow
def test_poor_trials_are_stopped_early(repository):
    repository.run(*SWEEP, "-S", "lr=1e-3,1e-30", "-S", "tensorboard=true", "--trials", "2")
    good, poor = rows(repository)
    assert (good["state"], good["epochs"]) == ("finished", "4")
    assert (poor["state"], poor["val_acc"]) == ("stopped", "0.5000")
    assert int(poor["epochs"]) < 3
    # An epoch is written to TensorBoard before the scheduler hears of it, and may end the trial.
    epochs = [len(logged(folder)["acc"]) for folder in (repository.folder / "data/tensorboard").iterdir()]
    assert sorted(epochs) == sorted([4, int(poor["epochs"])])
    # A stopped trial never goes on, so its checkpoints were deleted.
    assert not list((repository.folder / "data/sweeps").rglob("model-checkpoints/*"))


def start(
    repository: Repository, *options: str, inside: Sequence[str] = (), **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*inside, *SWEEP, *options], cwd=repository.folder, env=repository._environment | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen_to_ctrl_c,
    )  # fmt: skip


@needs_ray
@pytest.mark.slow
def test_an_interrupted_sweep_goes_on(repository):
    """It uses Optuna and early stopping, and the `lr` of params.yaml lies outside of the space."""
    options = ("-S", "recipe=long", "-S", "lr=tag(log, interval(5e-4, 2e-3))", "-S", "tensorboard=true", "--trials=2")
    for number, code, trial in ((signal.SIGINT, 130, "1"), (signal.SIGTERM, 143, "1"), (signal.SIGKILL, -9, "2")):
        seen = last_epoch(repository, trial)
        with start(repository, *options) as process:
            wait_for(lambda trial=trial, seen=seen: last_epoch(repository, trial) > seen + 2, "further epochs")
            assert {address.removeprefix("::ffff:") for address in listening(process)} == {"127.0.0.1"}
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert errors == ("" if number == signal.SIGKILL else "sweep: interrupted\n")
    with start(repository, *options) as process:
        next(line for line in process.stdout if "finished" in line)  # finished trials are reported first
        assert rows(repository)[0]["state"] == "finished"  # a trial is in the table before its line is printed
        process.kill()
    model = folders_of(repository)["1"] / "model.keras"
    before = model.stat().st_mtime_ns
    result = repository.run(*SWEEP, *options)
    assert model.stat().st_mtime_ns == before  # it was not trained again
    first, second = rows(repository)
    assert (first["trial"], first["state"], first["epochs"]) == ("1", "finished", str(LONG))
    assert (second["trial"], second["state"]) in {("2", "finished"), ("2", "stopped")}
    assert "sweep: 2 trials, " in result
    assert times_of_the_first_epoch(repository) == [1, 1]


def listening(process: subprocess.Popen[str]) -> set[str]:
    """Addresses on which a process and its children wait for connections."""
    found = set()
    for each in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {each.laddr.ip for each in each.net_connections(kind="inet") if each.status == psutil.CONN_LISTEN}
    return found


def last_epoch(repository: Repository, trial: str) -> int:
    """The last epoch of a trial whose state is kept, 0 if there is none."""
    folder = folders_of(repository).get(trial)
    return max([int(path.name.split("-")[1]) for path in folder.rglob("epoch-*")], default=0) if folder else 0


def times_of_the_first_epoch(repository: Repository) -> list[int]:
    """How often each trial has trained its first epoch: more than once where it began anew."""
    folders = (repository.folder / "data/tensorboard").iterdir()
    return [[step for step, _ in logged(folder)["acc"]].count(1) for folder in folders]


@needs_ray
@needs_network
@pytest.mark.slow
def test_a_cluster_shares_the_trials_and_one_lost_machine_costs_time_only(repository):
    options = ("-S", "recipe=long", "-S", "lr=1e-4,2e-4", "-S", "tensorboard=true", "--no-early-stopping")
    with cluster() as both, start(repository, *options, inside=both.inside, **both.environment) as process:
        wait_for(
            lambda: sum(last_epoch(repository, trial) > 2 for trial in folders_of(repository)) == 2,
            "two trials at once, on nodes of one core each",
        )
        kill(both.nodes[1])
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    trials = rows(repository)
    assert [(trial["state"], trial["epochs"]) for trial in trials] == 2 * [("finished", str(LONG))]
    assert {trial["node"] for trial in trials} == {ADDRESSES[0]}
    assert times_of_the_first_epoch(repository) == [1, 1]
    assert "sweep: 2 trials, 2 to the end" in output


@needs_ray
@pytest.mark.slow
def test_more_cores_than_there_are(repository):
    with start(repository, *RANGE, "--cpus=999") as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (2, 1)
    assert errors.startswith("sweep: --cpus 999: no machine has more than ")


@needs_ray
@pytest.mark.slow
def test_no_cluster_at_the_address(repository):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = start(repository, *RANGE, RAY_ADDRESS=address)
    with process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert errors == (
        f"sweep: RAY_ADDRESS: no cluster answers at {address}; start one with `ray start --head`, "
        "or unset RAY_ADDRESS; RAY_AUTH_TOKEN_PATH names the file with its token\n"
    )
