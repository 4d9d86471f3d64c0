"""From pictures to a model, its scores and its predictions, each a process of its own."""

import csv
import hashlib
import json
import pickle
import re
import resource
import shutil
import zipfile
from dataclasses import asdict

import keras
import numpy as np
import pytest

from smallvision.core.files import sha256_of
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models import convnet
from smallvision.models import keras_file as modelfile
from smallvision.models.litert import read_litert
from smallvision.training import calibration
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, save_model, write_zip
from tests.training.test_transfer import make_base


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    project = Project(folder)
    write_zip(project.archive, kaggle_members(8))
    for result in (project.split(), project.train(), project.evaluate()):
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""  # neither CUDA nor oneDNN
    return project


@pytest.fixture
def finished(trained: Project, tmp_path) -> Project:
    """A copy of the trained project, to be harmed."""
    shutil.copytree(trained.folder, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture
def model(trained: Project, tmp_path):
    """A copy of the model and its card, to be harmed."""
    for name in ("model.keras", "model.json"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    return tmp_path / "model.keras"


def read_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def export(project: Project, model="model.keras"):
    """What loads the .keras file alone."""
    return project.run("smallvision.commands.export", "--model", str(model), "--format", "litert", "out.tflite")


def test_training_writes_model_metrics_and_history(trained: Project):
    metrics = json.loads((trained.folder / "train.json").read_text())
    assert (metrics["source"], metrics["recipe"], metrics["precision"]) == ("pictures.zip", "baseline", "float32")
    assert metrics["best_epoch"] == 1
    rows = read_rows(trained.folder / "history.csv")
    assert [row["epoch"] for row in rows] == ["1"]
    assert float(rows[0]["val_acc"]) == pytest.approx(metrics["val_acc"], abs=1e-4)
    card = json.loads((trained.folder / "model.json").read_text())
    assert card["classes"] == ["cat", "dog"]
    assert card["image_size"] == 46
    assert card["parameters"]["lr"] == 1e-4
    assert 0.05 <= metrics["temperature"] <= 20
    assert metrics["final_val_acc"] == metrics["val_acc"]
    assert metrics["final_val_loss"] <= metrics["val_loss"]
    network, inside = read_litert(trained.folder / "model.tflite")
    assert asdict(inside) == card
    assert network.shapes == ((46, 46, 3), (2,))


def test_what_training_writes_is_calibrated(trained: Project):
    """The temperature of train.json is in the saved network."""
    temperature = json.loads((trained.folder / "train.json").read_text())["temperature"]
    manifest = read_manifest(trained.pictures / "manifest.json")
    pictures = Pictures(trained.pictures, manifest.subset("validation"), 46)[np.arange(4)]
    path = trained.folder / "model.keras"
    network = modelfile.load_model(path, modelfile.read_card(path))
    plain = keras.Model(network.layers[1].inputs, network.layers[1].outputs)
    assert plain.name != network.name
    calibrated = calibration.scale(modelfile.probabilities(plain, pictures), temperature)
    assert np.allclose(modelfile.probabilities(network, pictures), calibrated, atol=1e-6)


def test_evaluation_scores_every_test_picture_once(trained: Project):
    metrics = json.loads((trained.folder / "test.json").read_text())
    rows = read_rows(trained.folder / "plots/predictions.csv")
    assert metrics["n"] == len(rows) == 4
    card = json.loads((trained.folder / "model.json").read_text())
    training = json.loads((trained.folder / "train.json").read_text())
    assert metrics["model"] == training["model"] == card["weights"][:12]
    assert metrics["pictures"] == training["pictures"] == sha256_of(trained.pictures / "manifest.json")[:12]
    assert [row["actual"] for row in rows] == ["cat", "cat", "dog", "dog"]
    assert metrics["acc"] == sum(row["actual"] == row["predicted"] for row in rows) / 4
    assert [row["picture"] for row in rows] == [
        path.relative_to(trained.pictures).as_posix() for path in sorted((trained.pictures / "test").rglob("*.jpg"))
    ]
    for row in rows:
        assert sha256_of(trained.pictures / row["picture"]).startswith(row["sha256"])
        assert float(row["p_cat"]) + float(row["p_dog"]) == pytest.approx(1, abs=2e-6)
        assert (float(row["p_dog"]) > float(row["p_cat"])) == (row["predicted"] == "dog")
    assert metrics["acc_low"] < metrics["acc"] < metrics["acc_high"] or metrics["acc"] in (0, 1)


@pytest.mark.slow
def test_a_network_trained_on_fewer_and_smaller_pictures(project: Project):
    """The saved one takes them at their full size."""
    recipe = "{{epochs: 2, network: residual, image_size: 64, mirror_test: true, augment: {{crop: 0.5, size: 46}}}}"
    project.write_params(text=PARAMS.replace("{{epochs: 1}}", recipe, 1) + "train_limit: 3\n")
    write_zip(project.archive, kaggle_members(8))
    for result in (project.split(), project.train(), project.evaluate()):
        assert result.returncode == 0, result.stderr
    assert json.loads((project.folder / "train.json").read_text())["train_n"] == 6
    card = modelfile.read_card(project.folder / "model.keras")
    assert (card.image_size, card.parameters["train_limit"], card.parameters["augment"]["size"]) == (64, 3, 46)
    network, _ = read_litert(project.folder / "model.tflite")
    assert network.shapes == ((64, 64, 3), (2,))
    assert json.loads((project.folder / "test.json").read_text())["n"] == 4


def test_a_missing_model_is_named(project: Project):
    assert_one_line(export(project), 3, "export: model.keras: not found; `dvc repro train` makes it")


@pytest.mark.parametrize("harm", ["cut", "flipped", "other card"])
def test_a_changed_model_is_refused(project: Project, model, harm):
    data = bytearray(model.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    model.write_bytes(data[: len(data) // 2] if harm == "cut" else data)
    if harm == "other card":
        card = model.with_suffix(".json")
        card.write_text(card.read_text().replace('"sha256": "', '"sha256": "0'))
    assert_one_line(export(project, model), 3, "not the model that", "describes")


def test_a_pickle_is_never_loaded(project: Project, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    for name in ("model.pkl", "model.h5"):
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        result = export(project, tmp_path / name)
        assert_one_line(result, 3, "expected a .keras file; other formats can run code")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_a_model_with_code_inside_is_refused(project: Project, model):
    """A Lambda layer carries Python bytecode; Keras' safe mode refuses it."""
    inputs = keras.Input((46, 46, 3))
    flat = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(inputs))
    keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(flat)).save(model)
    card = json.loads(model.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    model.with_suffix(".json").write_text(json.dumps(card))
    assert_one_line(export(project, model), 3, "cannot be loaded", "Lambda")


def rewrite(path, **changes):
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "an empty zip", "of three classes", "of another size", "of another card"])
def test_a_file_that_is_no_model_of_ours_is_refused(project: Project, model, harm):
    """Its hash is right, as whoever makes a hostile model would see to."""
    if harm == "cut":
        model.write_bytes(model.read_bytes()[:-1000])
    elif harm == "an empty zip":
        write_zip(model, {})
    elif harm != "of another card":
        size, classes = (46, 3) if harm == "of three classes" else (48, 2)
        convnet.baseline(size, classes, 0).save(model)
    card = model.with_suffix(".json")
    rewrite(card, sha256=sha256_of(model), **({"colour": "red"} if harm == "of another card" else {}))
    words = {
        "of three classes": "expected input 46x46x3 and output 1, received (46, 46, 3) and (3,)",
        "of another size": "expected input 46x46x3 and output 1, received (48, 48, 3) and (1,)",
        "of another card": "no card of a model",
    }
    assert_one_line(export(project, model), 3, words.get(harm, "cannot be loaded"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "0123456789ab"}, "train.json: its model 0123456789ab is not the "),
        ({"pictures": "0123456789ab"}, "train.json: its pictures 0123456789ab is not the "),
        (None, "train.json: names no model, as of a training that has not ended; `dvc repro` goes on"),
    ],
)
def test_metrics_of_another_model_are_refused(finished: Project, change, message):
    before = (finished.folder / "test.json").read_text()
    if change:
        rewrite(finished.folder / "train.json", **change)
    else:
        (finished.folder / "train.json").write_text("{}")
    assert_one_line(finished.evaluate(), 3, f"evaluate: {message}")
    assert (finished.folder / "test.json").read_text() == before


def test_a_model_of_another_split_is_refused(finished: Project):
    finished.write_params(text=PARAMS.replace("train: 4", "train: 3"))
    assert finished.split().returncode == 0
    assert_one_line(finished.evaluate(), 3, "model.keras: trained on another split", "`dvc repro` trains again")


def test_a_test_set_without_a_class_is_refused(finished: Project):
    manifest = finished.pictures / "manifest.json"
    rows = json.loads(manifest.read_text())["pictures"]
    rewrite(manifest, pictures=[row for row in rows if (row["subset"], row["label"]) != ("test", "dog")])
    pictures = sha256_of(manifest)
    rewrite(finished.folder / "model.json", pictures=pictures)
    rewrite(finished.folder / "train.json", pictures=pictures[:12])
    assert_one_line(finished.evaluate(), 3, "data/pictures: no test pictures of dog; `dvc repro -f split`")


def test_a_gpu_that_is_not_there_can_be_insisted_on(finished: Project):
    finished.write_params(text=PARAMS + "device: gpu\n")
    result = finished.run(
        "stages.train", "data/pictures", "model.keras", "train.json", "history.csv", CUDA_VISIBLE_DEVICES=""
    )
    assert_one_line(result, 5, "train: params.yaml: device: TensorFlow finds no GPU here; check its driver")


@pytest.mark.slow
def test_out_of_memory_is_named_and_the_old_model_stays(finished: Project):
    before = sha256_of(finished.folder / "model.keras")
    finished.write_params(text=PARAMS.replace("image_size: 46", "image_size: 1024"))
    limit = 4 * 2**30
    result = finished.run(
        "stages.train", "data/pictures", "model.keras", "train.json", "history.csv",
        before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert_one_line(result, 5, "train: out of memory: lower batch_size or image_size")
    assert sha256_of(finished.folder / "model.keras") == before


def test_tensorflow_that_cannot_be_loaded_is_no_bug(finished: Project):
    (finished.folder / "tensorflow.py").write_text("raise ImportError('libtensorflow_cc.so.2: failed to map\\nmore')")
    assert_one_line(
        export(finished), 5, "export: TensorFlow cannot be loaded: libtensorflow_cc.so.2: failed to map; free some"
    )


def test_a_model_of_other_pictures_is_refused(trained: Project, project: Project):
    for name in ("model.keras", "model.json", "train.json"):
        (project.folder / name).write_bytes((trained.folder / name).read_bytes())
    write_zip(
        project.archive,
        {f"{label}/{n}.jpg": jpeg(n + 50 * (label == "owl")) for label in ("hen", "owl") for n in range(8)},
    )
    assert project.split().returncode == 0
    assert_one_line(project.evaluate(), 3, "model.keras: knows cat, dog, the pictures show hen, owl; `dvc repro`")


def test_a_picture_changed_after_the_split_is_named(trained: Project, project: Project):
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    victim = next((project.pictures / "train/dog").iterdir())
    victim.write_bytes(jpeg(77))
    assert_one_line(project.train(), 3, f"data/pictures/train/dog/{victim.name}: changed since `split` wrote it")
    victim.unlink()
    assert_one_line(project.train(), 3, f"data/pictures/train/dog/{victim.name}: missing; `dvc repro -f split`")
    assert not (project.folder / "model.keras").exists()


@pytest.mark.parametrize("classes", [2, 3])
def test_the_answer_over_both_mirror_images(tmp_path, classes):
    keras.utils.set_random_seed(1)
    network = convnet.baseline(46, classes)
    both = modelfile.average_over_mirror(network)
    save_model(tmp_path / "model.keras", both, classes=list("abc")[:classes])
    loaded = modelfile.load_model(tmp_path / "model.keras", modelfile.read_card(tmp_path / "model.keras"))
    pictures = np.random.default_rng(1).integers(0, 256, (5, 46, 46, 3), np.uint8)
    views = [modelfile.probabilities(network, view) for view in (pictures, pictures[:, :, ::-1])]
    found = modelfile.probabilities(loaded, pictures)
    assert np.allclose(found, np.mean(views, axis=0), atol=1e-6)
    assert not np.allclose(found, views[0], atol=1e-6)


@pytest.mark.slow
def test_a_fine_tuned_base_goes_through_every_stage(project: Project, tmp_path):
    make_base().save(project.folder / "base.keras")
    recipe = (
        "epochs: 1, backbone: base.keras, units: 4, unfreeze: two_conv, finetune_lr: 1.0e-4, finetune_epochs: 2, "
        "mirror_test: true"
    )
    project.write_params(text=PARAMS.replace("baseline: {{epochs: 1}}", f"baseline: {{{{{recipe}}}}}"))
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    result = project.run(
        "stages.train", "data/pictures", "model.keras", "train.json", "history.csv", XDG_CACHE_HOME=str(tmp_path / "c")
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"best epoch [123] of 3, validation accuracy", result.stdout)
    assert [row["epoch"] for row in read_rows(project.folder / "history.csv")] == ["1", "2", "3"]
    metrics = json.loads((project.folder / "train.json").read_text())
    assert metrics["backbone"] == "base.keras"
    assert len(metrics["weights"]) == 12
    assert project.evaluate().returncode == 0
    pictures = sorted((project.pictures / "test").rglob("*.jpg"))
    result = project.run("smallvision.commands.predict", "--model", "model.tflite", "--csv", *map(str, pictures))
    assert [row["class"] for row in csv.DictReader(result.stdout.splitlines())] == [
        row["predicted"] for row in read_rows(project.folder / "plots/predictions.csv")
    ]


@pytest.mark.slow
def test_divergence_exits_6_and_keeps_the_old_model(trained: Project, project: Project):
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    assert zipfile.is_zipfile(trained.folder / "model.keras")
    (project.folder / "model.keras").write_bytes(b"old")
    text = (project.folder / "params.yaml").read_text().replace("1.0e-4", "1.0e+30").replace("epochs: 1", "epochs: 3")
    (project.folder / "params.yaml").write_text(text)
    result = project.train()
    assert_one_line(result, 6, "train: the ", "loss became", "lower `lr`")
    assert (project.folder / "model.keras").read_bytes() == b"old"
    assert not (project.folder / "train.json").exists()


@pytest.mark.slow
def test_a_network_that_cannot_be_converted_does_not_cost_the_training(project: Project):
    """What was written before is of use, and the next run has only the conversion left."""
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    (project.folder / "model.tflite").mkdir()  # where the converted network cannot be put
    result = project.train()
    assert_one_line(result, 5, "train: ", "model.tflite")
    assert project.evaluate().returncode == 0
    (project.folder / "model.tflite").rmdir()
    result = project.train()
    assert result.returncode == 0
    assert "going on after epoch 1 of 1" in result.stdout
    assert (
        read_litert(project.folder / "model.tflite")[1].weights
        == modelfile.read_card(project.folder / "model.keras").weights
    )
