"""A model in Keras' format is saved whole, and loaded only if it is what the facts about it say."""

import errno
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from smallvision.core.errors import InputError
from smallvision.core.files import sha256_of
from smallvision.models.facts import read_facts
from smallvision.models.keras_file import average_over_mirror, hash_weights, load_model
from tests.conftest import save_model, write_zip
from tests.models.helpers import build_small, probabilities_of


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    return path, save_model(path, build_small(46, 2))


@pytest.fixture
def saved(saved_once, tmp_path):
    """A copy of a saved model, to be harmed, and the facts about it."""
    path, facts = saved_once
    for file in path.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / path.name, facts


def test_a_saved_model_is_loaded_with_the_weights_that_its_facts_name(saved_once):
    path, facts = saved_once
    assert read_facts(path) == facts
    assert facts.sha256 == sha256_of(path)
    assert hash_weights(load_model(path, facts)) == facts.weights


def test_a_model_with_code_inside_is_refused(saved):
    """A Lambda layer carries Python bytecode, and Keras' safe mode refuses it."""
    path, facts = saved
    inputs = keras.Input((46, 46, 3))
    flat = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2)(inputs))
    keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(flat)).save(path)
    with pytest.raises(InputError, match=r"model\.keras: cannot be loaded: .*Lambda"):
        load_model(path, facts)


@pytest.mark.parametrize("harm", ["cut", "an empty zip"])
def test_a_file_that_is_no_model_is_refused(saved, harm):
    """Its hash may be right, because whoever makes a hostile file would see to that."""
    path, facts = saved
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        write_zip(path, {})
    with pytest.raises(InputError, match=r"model\.keras: cannot be loaded"):
        load_model(path, facts)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_full_disk_or_memory_is_no_fault_of_the_file(saved, monkeypatch, error):
    monkeypatch.setattr(keras.saving, "load_model", Mock(side_effect=error))
    with pytest.raises(type(error)):
        load_model(*saved)


@pytest.mark.parametrize(
    ("size", "classes", "received"),
    [(46, 3, r"\(46, 46, 3\) and \(3,\)"), pytest.param(48, 2, r"\(48, 48, 3\) and \(1,\)", marks=pytest.mark.slow)],
)
def test_a_model_of_other_shapes_than_its_facts_say_is_refused(saved, size, classes, received):
    path, facts = saved
    build_small(size, classes).save(path)
    with pytest.raises(InputError, match=rf"expected input 46x46x3 and output 1, received {received}"):
        load_model(path, facts)


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_answer_is_the_mean_over_both_mirror_images(tmp_path, classes):
    keras.utils.set_random_seed(1)
    network = build_small(13, classes)
    path = tmp_path / "model.keras"
    facts = save_model(path, average_over_mirror(network), classes=list("abc")[:classes], image_size=13)
    pictures = np.random.default_rng(1).integers(0, 256, (5, 13, 13, 3), np.uint8)
    views = [probabilities_of(network, view) for view in (pictures, pictures[:, :, ::-1])]
    found = probabilities_of(load_model(path, facts), pictures)
    assert np.allclose(found, np.mean(views, axis=0), atol=1e-6)
    assert not np.allclose(found, views[0], atol=1e-6)


def test_a_model_is_saved_without_the_state_of_its_training(tmp_path):
    """With AdamW that state is twice as large as the weights, which take 4 bytes each."""
    trained = build_small(46, 2, units=512)
    trained.compile(keras.optimizers.AdamW())
    trained.optimizer.build(trained.trainable_variables)
    network = average_over_mirror(trained)
    network.compile(keras.optimizers.AdamW())
    network.optimizer.build(network.trainable_variables)
    facts = save_model(tmp_path / "model.keras", network)
    assert 1 < (tmp_path / "model.keras").stat().st_size / (4 * network.count_params()) < 1.2
    assert hash_weights(load_model(tmp_path / "model.keras", facts)) == facts.weights
