"""The model in other formats says what it says in Keras, and carries its class names."""

import json
import zipfile
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from smallvision.core.errors import InputError
from smallvision.core.params import Recipe
from smallvision.data.pictures.decoding import PictureError
from smallvision.models import litert
from smallvision.models.inference import predict_probabilities
from smallvision.models.keras_file import average_over_mirror
from smallvision.serving import formats
from smallvision.training.calibration import with_temperature
from smallvision.training.transfer import freeze_and_pool, join
from tests.conftest import jpeg, make_picture, save_model
from tests.models.helpers import build_small

# Each is darker than the one before, so that a network of random weights tells them apart.
PICTURES = np.stack([np.asarray(make_picture(seed, 46, 46)) // (seed + 1) for seed in range(6)])
CLASSES = {2: ["cat", "dög"], 3: ["ant", "bee", "cow"]}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def saved(request, tmp_path_factory):
    """A network as `train` saves it, with mirror images and a temperature, of two classes and of three; and its facts.

    Its last layer is scaled so that probabilities are spread.
    """
    keras.utils.set_random_seed(1)
    network = build_small(46, request.param, units=512)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * 40, bias])
    network = with_temperature(average_over_mirror(network), 1.5)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    facts = save_model(path, network, classes=CLASSES[request.param])
    expected = predict_probabilities(network, PICTURES)
    assert expected.std(axis=0).min() > 0.005
    return network, facts, expected


@pytest.fixture
def pictures(tmp_path):
    for seed in range(20):
        path = tmp_path / f"pictures/{'ab'[seed % 2]}/{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed))
    return tmp_path / "pictures"


def run_one_by_one(path) -> np.ndarray:
    lite, _ = litert.read_litert(path)
    return np.concatenate([lite.outputs(picture[np.newaxis]) for picture in PICTURES])


def test_litert_says_what_keras_says_and_is_loaded_by_other_programs_as_it_is(saved, tmp_path):
    """Other programs load it by its path, although class names and facts follow the network in the file."""
    from ai_edge_litert.interpreter import Interpreter

    network, facts, expected = saved
    path = tmp_path / "m.tflite"
    assert formats.export("litert", network, facts, path, tmp_path).startswith("differs from Keras by")
    lite, inside = litert.read_litert(path)
    assert np.allclose(lite.probabilities(PICTURES), expected, atol=1e-3)
    assert np.allclose(run_one_by_one(path), expected, atol=1e-3)
    assert inside.classes == facts.classes
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split("\n")[:-1] == facts.classes

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    assert (details["shape"].tolist(), details["dtype"]) == ([1, 46, 46, 3], np.float32)
    interpreter.set_tensor(details["index"], PICTURES[:1].astype(np.float32))
    interpreter.invoke()
    (row,) = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.allclose(row, expected[0], atol=1e-3)


def test_a_picture_that_ranges_cannot_be_measured_on_is_named(tmp_path, pictures):
    with pytest.raises(PictureError, match=r"nowhere: No such file or directory"):
        formats.representative_pictures(tmp_path / "nowhere", 46)
    (pictures / "damaged.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"damaged.jpg: no picture in a supported format"):
        formats.representative_pictures(pictures, 46)


@pytest.mark.slow
@pytest.mark.parametrize("saved", [3], indirect=True)
def test_int8_keeps_most_classes_and_is_a_quarter_of_the_size(saved, tmp_path, pictures):
    network, facts, expected = saved
    formats.export("litert", network, facts, tmp_path / "float.tflite", pictures)
    formats.export("litert_int8", network, facts, tmp_path / "int8.tflite", pictures)
    assert np.abs(run_one_by_one(tmp_path / "int8.tflite") - expected).max() < 0.1
    assert litert.read_litert(tmp_path / "int8.tflite")[1].classes == facts.classes
    assert (tmp_path / "int8.tflite").stat().st_size < 0.35 * (tmp_path / "float.tflite").stat().st_size


@pytest.mark.slow
def test_onnx_says_what_keras_says(saved, tmp_path):
    import onnxruntime

    network, facts, expected = saved
    formats.export("onnx", network, facts, tmp_path / "m.onnx", tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (inputs,) = session.get_inputs()
    assert (inputs.name, inputs.type, inputs.shape[1:]) == ("picture", "tensor(float)", [46, 46, 3])
    (found,) = session.run(None, {"picture": PICTURES.astype(np.float32)})
    assert np.allclose(found, expected, atol=1e-3)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == facts.classes
    assert json.loads(metadata["card"])["image_size"] == 46


@pytest.mark.parametrize("saved", [2], indirect=True)
def test_a_network_that_onnx_cannot_take_ends_in_one_line(saved, tmp_path, monkeypatch):
    """tf2onnx leaves operations that it does not know as they are, and then ONNX Runtime refuses the file."""
    network, facts, _ = saved
    monkeypatch.setattr(keras.Model, "export", lambda *_, **__: (tmp_path / "part-m.onnx").write_bytes(b"no graph"))
    with pytest.raises(InputError, match=r"m\.onnx: ONNX cannot take this network: .*; use --format litert") as caught:
        formats.export("onnx", network, facts, tmp_path / "m.onnx", tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(keras.Model, "export", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        formats.export("onnx", network, facts, tmp_path / "m.onnx", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("saved", [2], indirect=True)
def test_a_saved_model_says_what_keras_says(saved, tmp_path):
    import tensorflow as tf

    network, facts, expected = saved
    formats.export("saved_model", network, facts, tmp_path / "m", tmp_path)
    answer = tf.saved_model.load(tmp_path / "m").signatures["serving_default"](
        picture=tf.constant(PICTURES, tf.float32)
    )
    assert np.allclose(answer["probabilities"], expected, atol=1e-3)
    assert [name.decode() for name in answer["classes"].numpy()] == facts.classes
    assert (tmp_path / "m/assets.extra/labels.txt").read_text(encoding="utf-8").splitlines() == facts.classes


@pytest.fixture(scope="module")
def features(saved, tmp_path_factory):
    """The text that exporting features returns, and the exported file."""
    network, facts, _ = saved
    folder = tmp_path_factory.mktemp("features")
    return formats.export("features", network, facts, folder / "m.tflite", folder), folder / "m.tflite"


def test_features_are_what_the_last_layer_takes(saved, features):
    """The probabilities without mirror image and temperature also follow from them."""
    network, facts, _ = saved
    said, path = features
    assert said.startswith("512 numbers a picture")
    _, inside = litert.read_litert(path)
    assert (inside.features, inside.classes) == (512, facts.classes)
    vectors = run_one_by_one(path)
    (average,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    (plain,) = (layer for layer in average.layers if isinstance(layer, keras.Model))
    expected = plain(PICTURES / np.float32(255)).numpy()
    kernel, bias = plain.layers[-1].get_weights()
    logits = vectors @ kernel + bias
    found = 1 / (1 + np.exp(-logits)) if len(bias) == 1 else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-3)
    assert vectors.std(axis=0).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4])
def test_features_of_a_base_with_a_head_are_those_of_the_base(tmp_path, classes):
    """This also holds if there are as many features as classes."""
    keras.utils.set_random_seed(2)
    picture = keras.Input((46, 46, 3))
    base = keras.Model(picture, keras.layers.Conv2D(4, 9, 9, activation="relu")(picture))
    pooled, head = freeze_and_pool(base, Recipe(epochs=1, backbone="base", units=6, dropout=0.5), classes)
    network = average_over_mirror(join(pooled, head.build()))
    facts = save_model(tmp_path / "model.keras", network, classes=[str(index) for index in range(classes)])
    formats.export("features", network, facts, tmp_path / "m.tflite", tmp_path)
    lite, inside = litert.read_litert(tmp_path / "m.tflite")
    assert inside.features == 4
    maps = base(PICTURES[:1] / np.float32(255)).numpy()
    assert np.allclose(lite.outputs(PICTURES[:1]), maps.mean(axis=(1, 2)), atol=1e-4)
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.namelist() == ["model.json"]


@pytest.mark.parametrize("saved", [2], indirect=True)
def test_features_that_differ_from_keras_are_refused(saved, features, tmp_path, monkeypatch):
    network, facts, _ = saved
    monkeypatch.setattr(formats, "convert", lambda _: features[1].read_bytes())
    outputs = litert.Network.outputs
    monkeypatch.setattr(litert.Network, "outputs", lambda self, pictures: outputs(self, pictures) * 1.01)
    with pytest.raises(InputError, match=r"m\.tflite: features differ from Keras' by up to 0\.01 of the largest"):
        formats.export("features", network, facts, tmp_path / "m.tflite", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("answers", [[[0.502, 0.498]], [[float("nan"), 0.5]]])
def test_an_export_that_says_something_else_is_refused(tmp_path, answers):
    with pytest.raises(InputError, match=r"m\.onnx: probabilities differ from Keras' by up to"):
        formats.compare(np.array(answers), np.array([[0.5, 0.5]]), tmp_path / "m.onnx")


def test_an_int8_export_that_changes_classes_is_refused(tmp_path):
    expected = np.tile([0.51, 0.49], (10, 1))
    found = np.where(np.arange(10)[:, np.newaxis] < 2, 1 - expected, expected)
    with pytest.raises(InputError, match=r"in int8 80.0% of 10 pictures keep their class"):
        formats.compare_int8(found, expected, tmp_path / "m.tflite")
