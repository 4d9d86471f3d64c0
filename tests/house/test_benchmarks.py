"""The benchmarks run, on few pictures; what they measure here means nothing."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import pictures
from benchmarks.__main__ import PARTS, main
from benchmarks.processes import Finished
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import read_manifest
from tests.conftest import ROOT, Project
from tests.scaling.test_sweep import needs_network, needs_ray


def test_the_seconds_of_epochs_are_read_as_all_contenders_print_them():
    output = "epoch 1/2  23.4 s  acc 0.5080  best\nepoch 2  21.15 s\nstep 94.2 pictures/s\n"
    assert Finished(output, 60, 900).epochs() == [23.4, 21.15]


def test_the_pictures_are_what_split_would_write(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "DISTINCT", 4)
    counts = {"train": 2 * 4 + 20, "validation": 30}
    pictures.write_pictures(tmp_path, counts, 60, 50)
    manifest = read_manifest(tmp_path / "manifest.json")
    for subset, count in counts.items():
        entries = manifest.subset(subset)
        assert len({entry.path for entry in entries}) == count
        Pictures(tmp_path, entries, 46)  # checks every hash


def test_training_operations_are_those_counted_by_hand():
    import keras

    from benchmarks.kernels import training_flops

    model = keras.Sequential(
        [keras.Input((10, 10, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    # The convolution maps 3 x 3 x 3 numbers to 4 at 8 x 8 positions, and counts twice: forward, and for the gradients
    # of its weights. The dense layer counts a third time, for the gradients of its input.
    assert training_flops(model) == 2 * 64 * 27 * 4 * 2 + 2 * 256 * 2 * 3


@pytest.mark.slow
def test_every_part_runs(tmp_path):
    output = tmp_path / "results.json"
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "--small", "--rounds", "1", "--output", str(output)], cwd=ROOT, check=True
    )
    content = json.loads(output.read_text(encoding="utf-8"))
    assert content["machine"]["cores"]
    for what in (
        "baseline epoch",
        "augmented epoch",
        "training, ",
        "decode 500x375",
        "augment / ",
        "MobileNetV2",
        "predict 1 picture",
        "predict a folder",
        "litert_int8, 1 picture",
        "evaluate",
        "peak",
    ):
        found = [numbers for name, numbers in content["results"].items() if name.startswith(what)]
        assert found, what
        assert all(numbers["ours"] > 0 for numbers in found)


def test_an_unknown_part_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "epoch"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert "no part 'epoch'; expected epochs, " in said
    assert all(part in said for part in PARTS)


@needs_ray
@pytest.mark.slow
def test_a_sweep_is_compared_with_the_same_trainings_in_a_row():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "ray", "--rounds=1", "--trials=2", "--epochs=1", "--pictures=8"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.fullmatch(r"2 trainings +[\d.]+ s +sweep [\d.]+ +[\d.]+\n", result.stdout), result.stdout + result.stderr


@pytest.mark.slow
def test_more_classes_are_measured():
    """The pictures are drawn here; the stages split them, train on them and evaluate the network."""
    lines = measure("classes", "--counts=4", "--pictures=24").splitlines()
    measured = [re.sub(r" +[\d.e-]+ (s|MiB)$", "", line) for line in lines]
    assert measured == [f"4 classes, {what}" for what in ("split", "train", "evaluate", "metrics and plots")]


@needs_ray
@needs_network
@pytest.mark.slow
def test_two_nodes_are_compared_with_one(trained_once: Project):
    model = trained_once.folder / "data/models/model.tflite"
    assert re.fullmatch(
        r"40 pictures, two nodes +[\d.]+ pictures/s +one node [\d.]+ +[\d.]+\n",
        measure("nodes", "--rounds=1", "--counts=40", f"--model={model}"),
    )


def measure(*arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
