"""The train stage: what it writes, what it refuses, and what it leaves when it fails."""

import csv
import json
import resource
from dataclasses import asdict

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallvision.core.files import sha256_of
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models.facts import read_facts
from smallvision.models.keras_file import load_model
from smallvision.models.litert import read_litert
from smallvision.training import calibration
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, write_zip
from tests.models.helpers import probabilities_of

OUTPUTS = "data/models", "metrics/train.json", "metrics/plots", "data/tensorboard"


def train(project: Project):
    return project.call("stages.train", "data/pictures", *OUTPUTS)


def test_model_metrics_and_history_are_written(trained_once: Project):
    folder = trained_once.folder
    metrics = json.loads((folder / "metrics/train.json").read_text())
    assert (metrics["source"], metrics["recipe"]) == ("pictures.zip", "baseline")
    assert (metrics["device"], metrics["precision"]) == ("CPU", "float32")
    assert metrics["best_epoch"] == 1
    rows = list(csv.DictReader((folder / "metrics/plots/history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1"]
    assert float(rows[0]["val_acc"]) == pytest.approx(metrics["val_acc"], abs=1e-4)
    facts = json.loads((folder / "data/models/model.json").read_text())
    assert facts["classes"] == ["cat", "dog"]
    assert facts["image_size"] == 46
    assert facts["parameters"]["lr"] == 1e-4
    assert 0.05 <= metrics["temperature"] <= 20
    assert metrics["final_val_acc"] == metrics["val_acc"]
    assert metrics["final_val_loss"] <= metrics["val_loss"]
    network, inside = read_litert(folder / "data/models/model.tflite")
    assert asdict(inside) == facts
    assert network.shapes == ((46, 46, 3), (2,))


def test_the_saved_network_is_calibrated(trained_once: Project):
    """It contains the temperature that train.json names."""
    temperature = json.loads((trained_once.folder / "metrics/train.json").read_text())["temperature"]
    manifest = read_manifest(trained_once.pictures / "manifest.json")
    pictures = Pictures(trained_once.pictures, manifest.subset("validation"), 46)[np.arange(4)]
    path = trained_once.folder / "data/models/model.keras"
    network = load_model(path, read_facts(path))
    plain = keras.Model(network.layers[1].input, network.layers[1].output)
    assert temperature != 1
    calibrated = calibration.scale(probabilities_of(plain, pictures), temperature)
    assert np.allclose(probabilities_of(network, pictures), calibrated, atol=1e-6)


def test_a_gpu_that_is_not_there_can_be_insisted_on(trained: Project, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    trained.write_params(text=PARAMS + "device: gpu\n")
    assert_one_line(train(trained), 5, "train: params.yaml: device: TensorFlow finds no GPU here; check its driver")


def test_a_picture_changed_after_the_split_is_named(trained: Project):
    model = trained.folder / "data/models/model.keras"
    before = sha256_of(model)
    victim = next((trained.pictures / "train/dog").iterdir())
    victim.write_bytes(jpeg(77))
    assert_one_line(train(trained), 3, f"data/pictures/train/dog/{victim.name}: changed since `split` wrote it")
    victim.unlink()
    assert_one_line(train(trained), 3, f"data/pictures/train/dog/{victim.name}: missing; `dvc repro -f split`")
    assert sha256_of(model) == before


@pytest.mark.slow
def test_out_of_memory_is_named_and_the_old_model_stays(trained: Project):
    before = sha256_of(trained.folder / "data/models/model.keras")
    trained.write_params(text=PARAMS.replace("image_size: 46", "image_size: 1024"))
    limit = 4 * 2**30
    result = trained.run(
        "stages.train", "data/pictures", *OUTPUTS,
        before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert_one_line(result, 5, "train: out of memory: lower batch_size or image_size")
    assert sha256_of(trained.folder / "data/models/model.keras") == before


@pytest.mark.slow
def test_divergence_exits_6_and_keeps_the_old_model(trained: Project):
    before = sha256_of(trained.folder / "data/models/model.keras")
    metrics = trained.folder / "metrics/train.json"
    metrics.unlink()
    trained.write_params(text=PARAMS.replace("1.0e-4", "1.0e+30").replace("epochs: 1", "epochs: 3"))
    assert_one_line(train(trained), 6, "train: the ", "loss became", "lower `lr`")
    assert sha256_of(trained.folder / "data/models/model.keras") == before
    assert not metrics.exists()


@pytest.mark.slow
def test_a_network_that_cannot_be_converted_does_not_cost_the_training(project: Project):
    """What was written before can be used, and the next run has only the conversion left."""
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    (project.folder / "model.tflite").mkdir()  # where the converted network cannot be put
    result = project.train()
    assert_one_line(result, 5, "train: ", "model.tflite")
    path = project.folder / "model.keras"
    assert load_model(path, read_facts(path)).input_shape == (None, 46, 46, 3)
    (project.folder / "model.tflite").rmdir()
    result = project.train()
    assert result.returncode == 0
    assert "going on after epoch 1 of 1" in result.stdout
    weights = read_litert(project.folder / "model.tflite")[1].weights
    assert weights == read_facts(project.folder / "model.keras").weights
