"""Read the tensors of a PyTorch weights file without PyTorch, and without running code that the file may carry.

A file of PyTorch before 1.6 is a row of pickles and, behind them, the numbers of each storage. A pickle can call any
function by its name, so only the few names that a plain state needs are allowed, and none of them runs foreign code.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from smallvision.core.errors import InputError, first_line, surroundings_of

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of such a file
LAYOUT = 1001  # the second one: the version of the layout
LITTLE_ENDIAN_KEY = "little_endian"  # of the third one, which describes the machine that wrote the file
DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
# All that PyTorch writes. Some of the others take memory for a length that the file only claims.
OPCODES = frozenset(
    {"PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE",
     "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM",
     "SETITEMS", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
)  # fmt: skip
FETCHED = {"GLOBAL", "BINUNICODE"}  # what makes the values that PyTorch writes once and fetches again


@dataclass(frozen=True)
class _Storage:
    """Numbers that tensors are views of; they stand behind the pickles."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor: where its numbers are in a storage. Offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_unused: object
) -> _View:
    return _View(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """Reads the pickle of a state; refuses every name but those of tensors."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of a tensor")

    def persistent_load(self, pid: tuple[str, np.dtype, str, str, int, object]) -> _Storage:
        kind, dtype, key, _device, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("it shares storages in a way that PyTorch has given up")
        return _Storage(key, dtype, count)


def _load(file: io.BytesIO) -> object:
    """Read the next pickle, after a look at its operations.

    The unpickler makes a table as long as the highest number of a value that is put aside, and tuples of tuples that
    are fetched again and again would take forever to hash.
    """
    start, put_aside, last = file.tell(), list[str](), ""
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name not in OPCODES:
            raise pickle.UnpicklingError(f"it holds {opcode.name}, which PyTorch does not write")
        if opcode.name.endswith("BINPUT"):
            if argument != len(put_aside):
                raise pickle.UnpicklingError("it numbers its values as PyTorch does not")
            put_aside.append(last)
        elif opcode.name.endswith("BINGET") and put_aside[argument or 0] not in FETCHED:
            raise pickle.UnpicklingError("it shares values in a way that PyTorch does not")
        last = opcode.name
    file.seek(start)
    value: object = _Unpickler(file).load()
    return value


def read_state(file: BinaryIO, name: str) -> dict[str, np.ndarray]:
    """Read all tensors of a file that `torch.save(model.state_dict(), …)` wrote before PyTorch 1.6.

    Args:
        file: the file, at its start.
        name: what the user calls it, for error messages.

    Returns:
        Each tensor by its name, read-only, with the dtype and the axes that it has in PyTorch.

    Raises:
        InputError: the file is damaged, of another kind, or names anything but tensors.
    """
    try:
        # In memory, a length that the file only claims costs nothing.
        content = io.BytesIO(file.read())
        if _load(content) != MAGIC or _load(content) != LAYOUT:
            raise pickle.UnpicklingError("it is not of PyTorch before 1.6")
        machine, views = _load(content), _load(content)
        if not isinstance(machine, dict) or machine[LITTLE_ENDIAN_KEY] is not True:
            raise pickle.UnpicklingError("its numbers are big-endian")
        if not isinstance(views, OrderedDict) or not all(
            isinstance(name, str) and isinstance(view, _View) for name, view in views.items()
        ):
            raise pickle.UnpicklingError("it holds something else than named tensors")
        storages = {view.storage.key: view.storage for view in views.values()}
        keys = _load(content)
        if not isinstance(keys, list):
            raise pickle.UnpicklingError("it does not say where its numbers are")
        numbers = {key: _read_storage(content, storages[key]) for key in keys}
        return {each: _as_array(numbers[view.storage.key], view) for each, view in views.items()}
    # A damaged pickle raises almost any class of error; that of a full disk or of no memory is not the file's fault.
    except Exception as error:
        if surroundings_of(error):
            raise
        raise InputError(f"{name}: no weights that can be read: {first_line(error)}; install it again") from None


def _read_storage(file: io.BytesIO, storage: _Storage) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    data = file.read(count * storage.dtype.itemsize) if count == storage.count else b""
    if len(data) != storage.count * storage.dtype.itemsize:
        raise EOFError("it is cut off")
    return np.frombuffer(data, storage.dtype)


def _as_array(numbers: np.ndarray, view: _View) -> np.ndarray:
    """Return the numbers that a tensor shows, without copying them, after checking that all of them are there.

    A tensor that shows numbers several times, as `expand` makes it, is refused, because it could fill the memory.
    """
    reach = view.offset + sum((side - 1) * stride for side, stride in zip(view.shape, view.strides, strict=True))
    if min(view.offset, *view.shape, *view.strides, 0) < 0 or (0 not in view.shape and reach >= len(numbers)):
        raise ValueError("a tensor reaches beyond its numbers")
    if math.prod(view.shape) > len(numbers):
        raise ValueError("a tensor shows more numbers than there are")
    strides = [stride * numbers.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides, writeable=False)
