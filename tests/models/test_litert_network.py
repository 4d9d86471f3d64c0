"""A network in LiteRT's format says the same about a picture on any number of cores."""

import hashlib
import math
import os
import threading
import time
from unittest.mock import Mock

import ai_edge_litert.interpreter
import keras
import numpy as np
import pytest

from smallvision.core import process
from smallvision.core.errors import InputError
from smallvision.data.pictures.decoding import to_input
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import Entry
from smallvision.models import litert
from smallvision.models.litert_network import INTERPRETERS, Network
from tests.conftest import jpeg
from tests.models.helpers import build_small

SIZE = 46
FILES = [jpeg(number) for number in range(30)]
PICTURES = np.stack([to_input(file, SIZE) for file in FILES])


@pytest.fixture(scope="module")
def content() -> bytes:
    """A network from pictures to eight numbers."""
    keras.utils.set_random_seed(3)
    picture = keras.Input((SIZE, SIZE, 3))
    maps = build_small(SIZE, 3, units=8).layers[0](picture)
    return litert.convert(keras.Model(picture, keras.layers.GlobalMaxPooling2D()(maps)))


@pytest.fixture(scope="module")
def expected(content) -> np.ndarray:
    return np.concatenate([Network(content, "one").outputs(picture[np.newaxis]) for picture in PICTURES])


class Uneven:
    """Pictures some of which take long to decode, so that the threads end in another order than they began."""

    shape = PICTURES.shape

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __len__(self) -> int:
        return len(PICTURES)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        self.asked.extend(indices.tolist())
        self.may_go_on.wait(10)
        time.sleep(indices[0] * 7 % 5 / 1000)
        return PICTURES[indices]


@pytest.mark.parametrize("cores", [None, 1, 2, 3, 16])
def test_answers_stand_in_the_order_of_the_pictures_bit_for_bit(content, expected, monkeypatch, cores):
    made = Mock(wraps=ai_edge_litert.interpreter.Interpreter)
    monkeypatch.setattr(ai_edge_litert.interpreter, "Interpreter", made)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    pictures = Uneven()
    assert np.array_equal(Network(content, "network").outputs(pictures), expected)
    assert len(np.unique(expected, axis=0)) == len(PICTURES)
    assert sorted(pictures.asked) == list(range(len(PICTURES)))
    # Each interpreter holds the weights again; one of them waits for a picture that comes alone, with all threads.
    alone, *others = (call.kwargs["num_threads"] for call in made.call_args_list)
    assert alone == (cores or 1)
    assert len(others) <= min(cores or 1, INTERPRETERS)
    assert set(others) == {math.ceil((cores or 1) / INTERPRETERS)}


def test_a_picture_alone_has_the_same_answer(content, expected):
    network = Network(content, "network")
    alone = np.concatenate([network.outputs(PICTURES[index : index + 1]) for index in range(len(PICTURES))])
    assert np.array_equal(alone, expected)


def test_a_sweeps_trial_takes_no_more_threads_than_it_may(content, monkeypatch):
    made = Mock(wraps=ai_edge_litert.interpreter.Interpreter)
    monkeypatch.setattr(ai_edge_litert.interpreter, "Interpreter", made)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    Network(content, "network").outputs(PICTURES)
    assert [call.kwargs["num_threads"] for call in made.call_args_list] == [1, 1]


def test_with_mirror_the_network_sees_mirror_images(content, expected):
    network = Network(content, "network")
    found = network.outputs(PICTURES, mirror=True)
    assert np.array_equal(found, network.outputs(PICTURES[:, :, ::-1]))
    assert not np.allclose(found, expected)


def test_no_pictures_give_no_answers(content):
    assert Network(content, "network").outputs(PICTURES[:0]).shape == (0, 8)


def test_probabilities_are_the_outputs_as_shares_of_their_sum(content, expected):
    found = Network(content, "network").probabilities(PICTURES)
    assert found.dtype == np.float64
    assert np.allclose(found, expected / expected.sum(axis=1, keepdims=True))
    assert np.allclose(found.sum(axis=1), 1, atol=1e-12)


@pytest.fixture
def pictures(tmp_path) -> Pictures:
    """The pictures as files that are read each time."""
    (tmp_path / "train/cat").mkdir(parents=True)
    entries = []
    for number, data in enumerate(FILES):
        entry = Entry("train", "cat", f"{number}.jpg", "", hashlib.sha256(data).hexdigest(), "JPEG")
        (tmp_path / entry.path).write_bytes(data)
        entries.append(entry)
    return Pictures(tmp_path, entries, SIZE, budget=0)


def test_files_are_pictures_too_and_one_that_vanishes_is_named(content, expected, pictures, tmp_path):
    network = Network(content, "network")
    assert np.array_equal(network.outputs(pictures), expected)
    file = tmp_path / "train/cat/20.jpg"
    data = file.read_bytes()
    file.unlink()
    with pytest.raises(InputError, match=r"train/cat/20\.jpg: missing; `dvc repro -f split` makes it again"):
        network.outputs(pictures)
    file.write_bytes(data)
    assert np.array_equal(network.outputs(pictures), expected)


def test_a_signal_that_a_library_swallowed_ends_it_and_the_rest_is_not_decoded(content, expected, monkeypatch):
    network, pictures = Network(content, "network"), Uneven()
    pictures.may_go_on.clear()
    with monkeypatch.context() as patch:
        patch.setattr(process, "_received", [2])
        with pytest.raises(KeyboardInterrupt):
            network.outputs(pictures)
    pictures.may_go_on.set()
    assert np.array_equal(network.outputs(PICTURES), expected)  # these wait behind whatever the threads go on with
    assert len(pictures.asked) <= min(os.cpu_count(), INTERPRETERS)


@pytest.mark.parametrize("error", [ValueError("not a model"), RuntimeError("no memory plan"), MemoryError()])
def test_a_file_that_litert_refuses_is_named_and_a_lack_of_memory_is_not_its_fault(content, monkeypatch, error):
    monkeypatch.setattr(ai_edge_litert.interpreter, "Interpreter", Mock(side_effect=error))
    expected = MemoryError if isinstance(error, MemoryError) else InputError
    with pytest.raises(expected) as caught:
        Network(content, "here.tflite")
    if expected is InputError:
        assert str(caught.value) == f"here.tflite: cannot be loaded: {error}; `dvc repro -f train` makes it again"
