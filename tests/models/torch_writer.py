"""A weights file as PyTorch before 1.6 wrote it, made without PyTorch; also files that it would never write."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from smallvision.models import torch_weights

STORAGES = {dtype.str: name for name, dtype in torch_weights.DTYPES.items()}
START = b"\x80\x02"  # protocol 2, as PyTorch writes it


@dataclass(frozen=True)
class Named:
    """A function or a class that a pickle names."""

    module: str
    name: str


@dataclass(frozen=True)
class Called:
    """A call of it."""

    function: object
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class Stored:
    """What PyTorch writes in place of a storage."""

    parts: object


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: its numbers, and offset, shape and strides, all in numbers."""

    numbers: np.ndarray
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]


REBUILD = Named("torch._utils", "_rebuild_tensor_v2")
ORDERED = Called(Named("collections", "OrderedDict"), ())


def opcodes(value: object) -> bytes:
    """Pickle a value, without the start and the end of a pickle."""
    match value:
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(map(opcodes, chain.from_iterable(value.items()))) + b"u"
        case Named():
            return f"c{value.module}\n{value.name}\n".encode()
        case Called():
            return opcodes(value.function) + opcodes(value.arguments) + b"R"
        case Stored():
            return opcodes(value.parts) + b"Q"
    return _plain(value)


def _plain(value: object) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if 0 <= value < 256:
            return b"K" + bytes([value])
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    raise TypeError(f"nothing pickles {value!r} here")


def pickled(value: object) -> bytes:
    return START + opcodes(value) + b"."


def written(tensors: dict[str, object], *, key: str = "storage ", counts: dict[str, int] | None = None) -> bytes:
    """Write what `torch.save(…, _use_new_zipfile_serialization=False)` does.

    Args:
        tensors: by their names; what is no `Tensor` is pickled as it is.
        key: the start of the name of each storage.
        counts: how many numbers the file claims for the storage of a tensor.
    """
    items, behind = {}, b""
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor):
            kind = Named("torch", STORAGES[tensor.numbers.dtype.str])
            count = (counts or {}).get(name, len(tensor.numbers))
            stored = Stored(("storage", kind, key + name, "cpu", count, None))
            behind += struct.pack("<q", count) + tensor.numbers.tobytes()
            view = (stored, tensor.offset, tuple(tensor.shape), tuple(tensor.strides), False, ORDERED)
            items[name] = Called(REBUILD, view)
        else:
            items[name] = tensor
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    keys = [key + name for name, tensor in tensors.items() if isinstance(tensor, Tensor)]
    # As in PyTorch, the dictionary is made empty, filled, and given an attribute.
    state = opcodes(ORDERED) + opcodes(items)[1:] + opcodes({"_metadata": ORDERED}) + b"b"
    whole = [pickled(torch_weights.MAGIC), pickled(torch_weights.LAYOUT), pickled(machine), START + state + b"."]
    return b"".join([*whole, pickled(keys), behind])
