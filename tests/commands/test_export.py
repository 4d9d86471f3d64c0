"""The model in other formats says what it says in Keras, and carries its class names."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from smallvision.commands import export
from smallvision.core.errors import InputError
from smallvision.data.pictures.decoding import PictureError
from smallvision.models import convnet, litert
from smallvision.models import keras_file as modelfile
from smallvision.training import calibration, transfer
from tests.conftest import ROOT, Project, assert_one_line, jpeg, make_picture, save_model

# Each darker than the one before, so that a network of random weights tells them apart.
PICTURES = np.stack([np.asarray(make_picture(seed, 46, 46)) // (seed + 1) for seed in range(6)])
CLASSES = {2: ["cat", "dög"], 3: ["ant", "bee", "cow"]}


@pytest.fixture(scope="module", params=[2, 3])
def saved(request, tmp_path_factory):
    """A network as `train` saves it, with mirror images and a temperature, of two classes and of three; and its card.

    Its last layer is scaled so that probabilities are spread.
    """
    keras.utils.set_random_seed(1)
    network = convnet.baseline(46, request.param)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * 40, bias])
    network = calibration.with_temperature(modelfile.average_over_mirror(network), 1.5)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    card = save_model(path, network, classes=CLASSES[request.param])
    expected = modelfile.probabilities(network, PICTURES)
    assert expected.std(axis=0).min() > 0.005
    return network, card, expected, path


@pytest.fixture
def pictures(tmp_path):
    for seed in range(20):
        path = tmp_path / f"pictures/{'ab'[seed % 2]}/{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed))
    return tmp_path / "pictures"


def test_litert_says_what_keras_says(saved, tmp_path):
    network, card, expected, _ = saved
    said = export.export("litert", network, card, tmp_path / "m.tflite", tmp_path)
    assert "differs from Keras by" in said
    lite, inside = litert.read_litert(tmp_path / "m.tflite")
    assert np.allclose(lite.probabilities(PICTURES), expected, atol=1e-3)
    for picture, row in zip(PICTURES, expected, strict=True):
        assert np.allclose(lite.probabilities(picture[np.newaxis]), row, atol=1e-3)
    assert inside.classes == card.classes
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n")[:-1] == card.classes


def test_litert_is_loaded_by_other_programs_as_it_is(saved, tmp_path):
    """By the path, with class names and card behind the network."""
    from ai_edge_litert.interpreter import Interpreter

    network, card, expected, _ = saved
    export.export("litert", network, card, tmp_path / "m.tflite", tmp_path)
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    assert (details["shape"].tolist(), details["dtype"]) == ([1, 46, 46, 3], np.float32)
    interpreter.set_tensor(details["index"], PICTURES[:1].astype(np.float32))
    interpreter.invoke()
    (row,) = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.allclose(row, expected[0], atol=1e-3)


def test_a_picture_that_ranges_cannot_be_measured_on_is_named(tmp_path, pictures):
    with pytest.raises(PictureError, match=r"nowhere: No such file or directory"):
        export.representative_pictures(tmp_path / "nowhere", 46)
    (pictures / "damaged.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"damaged.jpg: no picture in a supported format"):
        export.representative_pictures(pictures, 46)


@pytest.mark.slow
def test_int8_keeps_most_classes_and_is_a_quarter_of_the_size(saved, tmp_path, pictures):
    network, card, expected, _ = saved
    export.export("litert", network, card, tmp_path / "float.tflite", pictures)
    export.export("litert_int8", network, card, tmp_path / "int8.tflite", pictures)
    lite, inside = litert.read_litert(tmp_path / "int8.tflite")
    found = np.concatenate([lite.probabilities(picture[np.newaxis]) for picture in PICTURES])
    assert np.abs(found - expected).max() < 0.1
    assert inside.classes == card.classes
    assert (tmp_path / "int8.tflite").stat().st_size < 0.35 * (tmp_path / "float.tflite").stat().st_size


@pytest.mark.slow
def test_onnx_says_what_keras_says(saved, tmp_path):
    import onnxruntime

    network, card, expected, _ = saved
    export.export("onnx", network, card, tmp_path / "m.onnx", tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (inputs,) = session.get_inputs()
    assert (inputs.name, inputs.type, inputs.shape[1:]) == ("picture", "tensor(float)", [46, 46, 3])
    (found,) = session.run(None, {"picture": PICTURES.astype(np.float32)})
    assert np.allclose(found, expected, atol=1e-3)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == card.classes
    assert json.loads(metadata["card"])["image_size"] == 46


@pytest.mark.slow
def test_a_saved_model_says_what_keras_says(saved, tmp_path):
    import tensorflow as tf

    network, card, expected, _ = saved
    export.export("saved_model", network, card, tmp_path / "m", tmp_path)
    answer = tf.saved_model.load(tmp_path / "m").signatures["serving_default"](
        picture=tf.constant(PICTURES, tf.float32)
    )
    assert np.allclose(answer["probabilities"], expected, atol=1e-3)
    assert [name.decode() for name in answer["classes"].numpy()] == card.classes
    assert (tmp_path / "m/assets.extra/labels.txt").read_text(encoding="utf-8").splitlines() == card.classes


def test_features_are_what_the_last_layer_takes(saved, tmp_path):
    """And the probabilities without mirror image and temperature follow from them."""
    network, card, _, _ = saved
    said = export.export("features", network, card, tmp_path / "m.tflite", tmp_path)
    assert said.startswith("512 numbers a picture")
    lite, inside = litert.read_litert(tmp_path / "m.tflite")
    assert (inside.features, inside.classes) == (512, card.classes)
    vectors = np.concatenate([lite.outputs(picture[np.newaxis]) for picture in PICTURES])
    (average,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    (plain,) = (layer for layer in average.layers if isinstance(layer, keras.Model))
    expected = plain.predict(PICTURES / np.float32(255), verbose=0)
    kernel, bias = plain.layers[-1].get_weights()
    logits = vectors @ kernel + bias
    found = 1 / (1 + np.exp(-logits)) if len(bias) == 1 else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-3)
    assert vectors.std(axis=0).max() > 0.01


@pytest.mark.parametrize("classes", [2, 4])
def test_features_of_a_base_with_a_head_are_those_of_the_base(tmp_path, classes):
    """Also where there are as many of them as classes."""
    keras.utils.set_random_seed(2)
    picture = keras.Input((46, 46, 3))
    base = keras.Model(picture, keras.layers.Conv2D(4, 9, 9, activation="relu")(picture))
    head = transfer.Head("average", 6, 0.5)
    network = modelfile.average_over_mirror(transfer.join(head.pool(base), head.build(4, classes)))
    card = save_model(tmp_path / "model.keras", network, classes=[str(index) for index in range(classes)])
    export.export("features", network, card, tmp_path / "m.tflite", tmp_path)
    lite, inside = litert.read_litert(tmp_path / "m.tflite")
    assert inside.features == 4
    maps = base.predict(PICTURES[:1] / np.float32(255), verbose=0)
    assert np.allclose(lite.outputs(PICTURES[:1]), maps.mean(axis=(1, 2)), atol=1e-4)
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.namelist() == ["model.json"]


def test_features_that_differ_from_keras_are_refused(saved, tmp_path, monkeypatch):
    network, card, _, _ = saved
    outputs = litert.Network.outputs
    monkeypatch.setattr(litert.Network, "outputs", lambda self, pictures: outputs(self, pictures) * 1.01)
    with pytest.raises(InputError, match=r"m\.tflite: features differ from Keras' by up to 0\.01 of the largest"):
        export.export("features", network, card, tmp_path / "m.tflite", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answers", [[[0.502, 0.498]], [[float("nan"), 0.5]]])
def test_an_export_that_says_something_else_is_refused(tmp_path, answers):
    with pytest.raises(InputError, match=r"m\.onnx: probabilities differ from Keras' by up to"):
        export.check("onnx", np.array(answers), np.array([[0.5, 0.5]]), tmp_path / "m.onnx")


def test_an_int8_export_that_changes_classes_is_refused(tmp_path):
    expected = np.tile([0.51, 0.49], (10, 1))
    with pytest.raises(InputError, match=r"in int8 80.0% of 10 pictures keep their class"):
        export.check(
            "litert_int8", np.where(np.arange(10)[:, np.newaxis] < 2, 1 - expected, expected), expected, tmp_path
        )


@pytest.mark.parametrize("saved", [2], indirect=True)
def test_training_refuses_a_conversion_that_says_something_else(saved, tmp_path, monkeypatch):
    network, card, expected, _ = saved
    monkeypatch.setattr(litert.Network, "probabilities", lambda self, pictures: np.roll(expected, 1, axis=1))
    with pytest.raises(InputError, match=r"m\.tflite: probabilities differ from Keras' by .*another `backbone`"):
        litert.save_litert(tmp_path / "m.tflite", network, card, PICTURES)
    assert not list(tmp_path.iterdir())


def test_an_operation_that_litert_lacks_is_named(monkeypatch, capfd):
    """One that LiteRT could run only with TensorFlow beside it."""
    picture = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(keras.ops.erfinv(picture))
    with pytest.raises(InputError, match=r"LiteRT cannot take this network: .*Erfinv"):
        litert.convert(keras.Model(picture, keras.layers.Dense(1, activation="sigmoid")(flat)))
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("saved", [2], indirect=True)
def test_the_command_writes_and_says_so(saved, project: Project, pictures, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # tf2onnx sets it
    *_, path = saved
    for kind, output in (("litert_int8", "m.tflite"), ("saved_model", "m"), ("onnx", "m.onnx")):
        result = project.run(
            "smallvision.commands.export", "--model", str(path), "--format", kind, "--pictures", str(pictures), output
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"export: {output}: ")
        assert not list(project.folder.glob("part-*"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "onnx", "m.tflite"], 2, "export: m.tflite: expected a name that ends in .onnx"),
        (["--format", "saved_model", "there"], 2, "export: there: exists; remove it, or choose another name"),
        (["--format", "litert", "m.tflite"], 3, "export: data/models/model.keras: not found; `dvc repro train`"),
    ],
)
def test_what_cannot_be_written_is_one_line(project: Project, arguments, code, words):
    (project.folder / "there").mkdir()
    assert_one_line(project.run("smallvision.commands.export", *arguments), code, words)


def test_onnx_packages_that_are_missing_are_named_with_the_remedy(project: Project):
    code = (
        "import importlib.util, sys; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'onnx' else find(name)\n"
        "from smallvision.core.errors import run; from smallvision.commands.export import main\n"
        "sys.argv[1:] = ['--format', 'onnx', 'm.onnx']; run('export', main)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert_one_line(result, 5, "export: onnx: not installed; `make setup` does it")
