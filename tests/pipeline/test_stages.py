"""Recipes other than the shared model's go through all stages."""

import csv
import json
import re

import pytest

from smallvision.models.facts import read_facts
from smallvision.models.litert import read_litert
from tests.conftest import PARAMS, Project, kaggle_members, write_zip
from tests.training.helpers import make_base


@pytest.mark.slow
def test_a_network_trained_on_fewer_and_smaller_pictures(project: Project):
    """The saved network takes pictures at their full size."""
    recipe = "{{epochs: 2, network: residual, image_size: 64, mirror_test: true, augment: {{crop: 0.5, size: 46}}}}"
    project.write_params(text=PARAMS.replace("{{epochs: 1}}", recipe, 1) + "train_limit: 3\n")
    write_zip(project.archive, kaggle_members(8))
    for stage in (project.split, project.train, project.evaluate):
        result = stage()
        assert result.returncode == 0, result.stderr
    assert json.loads((project.folder / "train.json").read_text())["train_n"] == 6
    facts = read_facts(project.folder / "model.keras")
    assert (facts.image_size, facts.parameters["train_limit"], facts.parameters["augment"]["size"]) == (64, 3, 46)
    network, _ = read_litert(project.folder / "model.tflite")
    assert network.shapes == ((64, 64, 3), (2,))
    assert json.loads((project.folder / "test.json").read_text())["n"] == 4


@pytest.mark.slow
def test_a_fine_tuned_base_goes_through_every_stage(project: Project, tmp_path):
    """Each stage is a process of its own here, and writes nothing to stderr, for example about CUDA or oneDNN."""
    make_base().save(project.folder / "base.keras")
    recipe = (
        "epochs: 1, backbone: base.keras, units: 4, unfreeze: two_conv, finetune_lr: 1.0e-4, finetune_epochs: 2, "
        "mirror_test: true"
    )
    project.write_params(text=PARAMS.replace("baseline: {{epochs: 1}}", f"baseline: {{{{{recipe}}}}}"))
    write_zip(project.archive, kaggle_members(8))
    for stage in (
        "split data/raw/archive.zip data/pictures",
        "train data/pictures . train.json . logs",
        "evaluate . train.json data/pictures test.json plots",
    ):
        name, *arguments = stage.split()
        result = project.run(f"stages.{name}", *arguments, XDG_CACHE_HOME=str(tmp_path / "c"))
        assert (result.returncode, result.stderr) == (0, "")
        if name == "train":
            assert re.search(r"best epoch [123] of 3, validation accuracy", result.stdout)
    assert [row["epoch"] for row in read_rows(project.folder / "history.csv")] == ["1", "2", "3"]
    metrics = json.loads((project.folder / "train.json").read_text())
    assert metrics["backbone"] == "base.keras"
    assert len(metrics["weights"]) == 12
    pictures = sorted((project.pictures / "test").rglob("*.jpg"))
    result = project.run("smallvision", "predict", "--model", "model.tflite", "--csv", *map(str, pictures))
    assert [row["class"] for row in csv.DictReader(result.stdout.splitlines())] == [
        row["predicted"] for row in read_rows(project.folder / "plots/predictions.csv")
    ]


def read_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
