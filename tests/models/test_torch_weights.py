"""Weights of PyTorch are read without it, and a file that is harmed or hostile is refused, whatever it holds."""

import errno
import io
import os
import pickle
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smallvision.core.errors import InputError
from smallvision.models import torch_weights
from smallvision.models.torch_weights import read_state
from tests.models.torch_writer import ORDERED, REBUILD, START, STORAGES, Called, Named, Stored, Tensor, pickled, written

ONE = Tensor(np.arange(6, dtype=np.float32), 0, (2, 3), (3, 1))


def read(content: bytes) -> dict[str, np.ndarray]:
    # As of an opened file, `read` takes the memory that it is asked for first.
    return read_state(io.BufferedReader(io.BytesIO(content)), "base.pth")


def refuse(content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^base\.pth: no weights that can be read: {reason}.*; install it again$"):
        read(content)


@st.composite
def tensors(draw) -> tuple[Tensor, np.ndarray]:
    """A tensor of any dtype that shows a part of its storage, with its axes in any order; and what it shows."""
    dtype = draw(st.sampled_from(sorted(STORAGES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    whole = draw(hnp.arrays(np.dtype(dtype), shape, elements={"allow_nan": False} if "f" in dtype else None))
    axes = draw(st.permutations(range(len(shape))))
    before, behind = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    numbers = np.concatenate([np.ones(before, dtype), whole.ravel(), np.ones(behind, dtype)])
    shown = whole.transpose(axes)
    skip = tuple(slice(None, None, draw(st.integers(1, 2))) for _ in axes)
    shown = shown[skip]
    strides = [stride // whole.itemsize for stride in shown.strides]
    return Tensor(numbers, before, shown.shape, strides), shown


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), tensors(), max_size=4))
def test_any_tensors_are_read_as_they_were_written(made):
    found = read(written({name: tensor for name, (tensor, _) in made.items()}))
    assert list(found) == list(made)
    for name, (_, expected) in made.items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert np.array_equal(found[name], expected)


HARM = (Named("os", "system"), Named("builtins", "eval"), Named("torch", "load"), Named("collections", "Counter"),
        Named("torch._utils", "_rebuild_parameter"), Named("torch._utils", "os.system"), Named("posix", "system"),
        Named("numpy", "load"), Named("torch", "FloatStorage.__init__"), Named("builtins", "getattr"))  # fmt: skip


@pytest.mark.parametrize("named", HARM, ids=lambda named: f"{named.module}.{named.name}")
def test_a_name_that_is_no_tensors_is_told_and_nothing_is_called(tmp_path, named):
    call = Called(named, (f"touch {tmp_path / 'harmed'}",))
    for content in (
        written({"a": ONE, "b": call}),
        written({"a": call}),
        pickled(call),
        written({"a": replace(ONE, shape=(call, 3))}),
        written({"a": named}),
    ):
        refuse(content, f"it names {named.module}\\.{named.name.replace('.', '[.]')}, which is not part of a tensor")
    assert not (tmp_path / "harmed").exists()


def test_an_object_of_python_that_would_run_something_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'harmed'}",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        refuse(pickle.dumps(Harm(), protocol), "it (names|holds) ")
    assert not (tmp_path / "harmed").exists()


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail if more than a megabyte is taken at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


SMALL = written({"a": ONE, "b": Tensor(np.arange(3), 1, (), ())})


def test_a_file_cut_anywhere_is_refused():
    assert list(read(SMALL)) == ["a", "b"]
    for length in range(len(SMALL)):
        refuse(SMALL[:length], "")


def test_a_byte_flipped_anywhere_is_found_or_changes_a_name_or_a_number():
    rng, found = np.random.default_rng(1), 0
    with little_memory():
        for place in range(len(SMALL)):
            harmed = bytearray(SMALL)
            harmed[place] ^= rng.integers(1, 256)
            try:
                tensors = read(bytes(harmed))
            except InputError:
                found += 1
            else:
                assert all(isinstance(name, str) for name in tensors)
                assert sum(array.size for array in tensors.values()) <= 7
    assert found > len(SMALL) / 2


@given(st.binary(max_size=60))
def test_any_bytes_are_no_weights(content):
    refuse(content, "")
    refuse(pickled(torch_weights.MAGIC) + pickled(torch_weights.LAYOUT) + START + content, "")


LARGE = 2**60
BEYOND, MORE, CUT = "a tensor reaches beyond", "a tensor shows more numbers than there are", "it is cut off"


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (replace(ONE, offset=1), BEYOND),
        (replace(ONE, offset=-1), BEYOND),
        (replace(ONE, shape=(2, 4)), BEYOND),
        (replace(ONE, shape=(2, -1)), BEYOND),
        (replace(ONE, strides=(-3, 1)), BEYOND),
        (replace(ONE, strides=(LARGE, 1)), BEYOND),
        (replace(ONE, offset=LARGE), BEYOND),
        (replace(ONE, numbers=np.array([], np.float32)), BEYOND),
        (replace(ONE, shape=(2**40,), strides=(0,)), MORE),
        (replace(ONE, shape=(2, 2, 2), strides=(1, 1, 1)), MORE),
        (replace(ONE, shape=(LARGE, 3), strides=(0, 0)), MORE),
        (replace(ONE, shape=(2,)), "zip"),
        (replace(ONE, shape=("2", 3)), ""),
        (replace(ONE, strides=(1.5, 1)), ""),
        (replace(ONE, shape=(1,) * 65, strides=(1,) * 65), ""),
    ],
)
def test_a_tensor_that_shows_more_than_there_is_takes_no_memory(tensor, reason):
    with little_memory():
        refuse(written({"a": tensor}), reason)


@pytest.mark.parametrize("count", [0, 5, 7, -1, 2**30, LARGE, 2**62 - 1])
def test_a_file_that_claims_more_numbers_than_it_has_takes_no_memory(count):
    with little_memory():
        refuse(written({"a": ONE}, counts={"a": count}), "")


LEVELS = 60  # of tuples that hold each other twice; the last one is the key of a dictionary, so it is hashed
BOMBS = {
    "a number of a value": b"Nr" + struct.pack("<I", 2**26),
    "a long value": b"\x8e" + struct.pack("<Q", 2**40),
    "a long text": b"X" + struct.pack("<I", 2**31),
    "a long number": b"\x8b" + struct.pack("<i", 2**30),
    "a frame": b"\x95" + struct.pack("<Q", 2**40),
    "tuples of tuples": b"X\0\0\0\0q\0"
    + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(LEVELS))
    + b"}h%cNs" % LEVELS,
    "tuples of tuples, doubled": b"}N" + b"2\x86" * LEVELS + b"Ns",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_pickle_that_would_fill_the_memory_or_take_forever_is_refused(bomb):
    machine = written({})
    head = machine[: machine.index(b"ccollections")]
    with little_memory():
        refuse(START + bomb + b".", "")
        refuse(head + bomb + b".", "")


STORAGE = ("storage", Named("torch", "FloatStorage"), "storage a", "cpu", 6)
SHARED = Stored((*STORAGE, ("another", 0, 6)))  # as PyTorch wrote views of storages before 0.4
SHOWN = Called(REBUILD, (Stored((*STORAGE, None)), 3, (3,), (1,), False, ORDERED))


def test_two_tensors_may_show_the_same_numbers():
    found = read(written({"a": ONE, "b": SHOWN}))
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [3, 4, 5]


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EACCES, "Permission denied")])
def test_a_lack_of_memory_or_of_rights_is_not_the_files_fault(error):
    with pytest.raises(type(error)):
        read_state(Mock(read=Mock(side_effect=error)), "base.pth")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"PK\3\4" + bytes(100), ""),
        (pickled(torch_weights.MAGIC + 1), "it is not of PyTorch before 1.6"),
        (pickled(torch_weights.MAGIC) + pickled(1002), "it is not of PyTorch before 1.6"),
        (SMALL.replace(b"little_endian\x88", b"little_endian\x89"), "its numbers are big-endian"),
        (written({"a": 1}), "it holds something else than named tensors"),
        (written({1: SHOWN}), "it holds something else than named tensors"),
        (pickled(torch_weights.MAGIC) + pickled(torch_weights.LAYOUT) + pickled(0), ""),
        (written({"a": ONE, "b": replace(SHOWN, arguments=(SHARED, 3, (3,), (1,)))}), "it shares storages in a way"),
    ],
)
def test_a_file_of_another_kind_is_told(content, reason):
    refuse(content, reason)
