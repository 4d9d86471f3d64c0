"""`model.tflite` is loaded only if it is whole and of this project, and it says what Keras says."""

import errno
import pickle
import zipfile
from dataclasses import replace
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from smallvision.core.errors import InputError
from smallvision.models import litert
from smallvision.models.facts import write_facts
from tests.conftest import make_picture, save_model
from tests.models.helpers import build_small, probabilities_of

PICTURES = np.stack([np.asarray(make_picture(seed, 46, 46)) for seed in range(3)])


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A network of three classes, its LiteRT file, and the facts in it."""
    keras.utils.set_random_seed(3)
    network = build_small(46, 3)
    folder = tmp_path_factory.mktemp("converted")
    facts = save_model(folder / "model.keras", network, classes=["ant", "bee", "cow"])
    expected = probabilities_of(network, PICTURES)
    facts = litert.save_litert(folder / "alone.tflite", network, facts, PICTURES, expected)
    return network, folder / "alone.tflite", facts


@pytest.fixture(scope="module")
def content(converted):
    """The network alone, in LiteRT's format."""
    return litert.convert(litert.prepare_for_export(converted[0]))


@pytest.fixture
def model(converted, tmp_path):
    """A copy of the LiteRT file, to be harmed."""
    path = tmp_path / "model.tflite"
    path.write_bytes(converted[1].read_bytes())
    return path


def refuse(path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        litert.read_litert(path)


def test_what_is_written_is_read(converted):
    network, path, facts = converted
    lite, inside = litert.read_litert(path)
    assert inside == facts
    assert lite.shapes == ((46, 46, 3), (3,))
    assert np.allclose(lite.probabilities(PICTURES), probabilities_of(network, PICTURES), atol=1e-3)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.9999])
def test_a_cut_file_is_refused(model, kept):
    data = model.read_bytes()
    model.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    refuse(model, r"model\.tflite: damaged, or not of this project")


def test_a_byte_of_the_network_flipped_anywhere_is_found(model):
    data = model.read_bytes()
    for place in np.random.default_rng(1).integers(0, len(data) - 2000, 15):
        harmed = bytearray(data)
        harmed[place] ^= 16
        model.write_bytes(harmed)
        refuse(model, "damaged: not the network that its card describes")


def test_a_byte_flipped_behind_the_network_is_found_or_changes_nothing(model):
    """A flipped byte may, for example, change a date in the appended archive."""
    data, facts = model.read_bytes(), litert.read_litert(model)[1]
    places = range(len(data) - 900, len(data), 18)
    found = 0
    for place in places:
        harmed = bytearray(data)
        harmed[place] ^= 16
        model.write_bytes(harmed)
        try:
            assert litert.read_litert(model)[1] == facts
        except InputError:
            found += 1
    assert found > len(places) / 2


def test_a_network_of_another_class_count_is_refused(converted, model, content):
    litert.write_litert(model, content, replace(converted[2], classes=["ant", "bee"]))
    refuse(model, r"expected shapes \(46, 46, 3\) to \(2,\), as its card says, received \(46, 46, 3\) to \(3,\); `dvc")


@pytest.mark.parametrize("cut", [False, True])
def test_no_network_at_all_with_the_right_hash_is_refused(converted, model, cut):
    content = model.read_bytes()[:10_000] if cut else b"TFL3" * 1000
    litert.write_litert(model, content, converted[2])
    refuse(model, r"model\.tflite: cannot be loaded: ")


def test_a_network_of_another_project_is_refused(model, content):
    model.write_bytes(content)
    refuse(model, r"model\.tflite: damaged, or not of this project")


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_full_disk_or_memory_is_no_fault_of_the_file_or_the_network(converted, model, monkeypatch, error):
    monkeypatch.setattr(zipfile.ZipFile, "testzip", Mock(side_effect=error))
    with pytest.raises(type(error)):
        litert.read_litert(model)
    monkeypatch.setattr("tensorflow.lite.TFLiteConverter.from_concrete_functions", Mock(side_effect=error))
    with pytest.raises(type(error)):
        litert.convert(converted[0])


def test_facts_that_are_none_are_refused(model):
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("model.json", '{"image_size": "46"}')
    refuse(model, r"model\.tflite: model\.json: no card of a model \(recipe: Field required\)")


def test_a_file_that_the_facts_beside_it_do_not_describe_is_refused(converted, model):
    write_facts(model, replace(converted[2], recipe="another"))
    refuse(model, r"model\.tflite: not the model that .*model\.json describes; `dvc repro -f train` makes both")


def test_a_pickle_is_never_loaded(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    for name, message in (
        ("model.pkl", r"expected a \.tflite file, as `train` and `smallvision export` write"),
        ("model.keras", r"expected a \.tflite file"),
        ("model.tflite", "damaged, or not of this project"),
    ):
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        refuse(tmp_path / name, message)
    assert not (tmp_path / "harmed").exists()
    refuse(tmp_path / "none.tflite", r"none\.tflite: not found; `dvc repro train` makes it")


def test_training_refuses_a_conversion_that_says_something_else(converted, content, tmp_path, monkeypatch):
    network, _, facts = converted
    monkeypatch.setattr(litert, "convert", lambda _: content)
    wrong = probabilities_of(network, PICTURES) + np.array([0.1, 0, -0.1])
    with pytest.raises(InputError, match=r"m\.tflite: probabilities differ from Keras' by .*another `backbone`"):
        litert.save_litert(tmp_path / "m.tflite", network, facts, PICTURES, wrong)
    assert not list(tmp_path.iterdir())


def test_an_operation_that_litert_lacks_is_named(capfd):
    """LiteRT could run this one only with TensorFlow beside it."""
    picture = keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()(keras.ops.erfinv(picture))
    with pytest.raises(InputError, match=r"LiteRT cannot take this network: .*Erfinv"):
        litert.convert(keras.Model(picture, keras.layers.Dense(1, activation="sigmoid")(flat)))
    assert capfd.readouterr().err == ""
