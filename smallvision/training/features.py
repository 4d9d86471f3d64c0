"""Outputs of a frozen base, computed once and kept between runs; so is the base in LiteRT's format."""

import hashlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import diskcache
import keras
import numpy as np
import platformdirs
import tensorflow as tf

from smallvision.core.errors import printable
from smallvision.data.pictures.loading import Examples, Pictures
from smallvision.models.inference import run_model
from smallvision.models.keras_file import hash_weights
from smallvision.models.litert import convert, require_near_features, rescale_input
from smallvision.models.litert_network import Network
from smallvision.training.code import code_of

KEPT = 4 * 2**30  # bytes; if there are more, those that were stored first are deleted
DIGEST = 32  # bytes of the checksum in front of each entry
COMPARED = 2  # pictures on which a converted base is compared with Keras


def runtime() -> str:
    """Return what the features of pictures are computed with here, and its version.

    That is LiteRT, whose kernels (XNNPACK) were faster on every processor that was tried than TensorFlow's
    (docs/results.md), or TensorFlow where it has a GPU. Their features differ in the sixth digit on a CPU.
    """
    return (
        f"TensorFlow {tf.__version__}"
        if tf.config.get_visible_devices("GPU")
        else f"LiteRT {version('ai-edge-litert')}"
    )


def compute_features(model: keras.Model, inputs: Examples, shown: str, *, mirror: bool = False) -> np.ndarray:
    """Run a frozen model, or take the result of an earlier run.

    Results are kept in the user's cache folder and not in the project, because they are not the output of a stage, and
    because experiments that run in copies of the project can then share them. The key is made of everything that the
    result depends on (layers, weights, pictures, the code of the train stage, what it was computed with), so a kept
    result is never out of date.

    Args:
        model: the frozen network, which takes RGB in [0, 1], or the output of lower layers.
        inputs: uint8 pictures `(n, size, size, 3)`, or the float32 output of lower layers `(n, ...)`.
        shown: what the inputs are, for the progress bar.
        mirror: add the features of the mirror images after the others.

    Returns:
        float32 array `(n, ...)`, with `mirror` `(2 n, ...)`.
    """
    about = _describe(model)
    if isinstance(inputs, np.ndarray) and inputs.dtype != np.uint8:
        return _array_or_compute(
            ["features of features", *about, _hash_array(inputs)], lambda: run_model(model, inputs)
        )
    pictures = inputs.content_hash if isinstance(inputs, Pictures) else _hash_array(inputs)
    network = cache(partial(converted, model, inputs))

    def compute(flip: bool) -> np.ndarray:
        if tf.config.get_visible_devices("GPU"):
            return run_model(model, inputs, mirror=flip)
        return network().outputs(inputs, shown, mirror=flip)

    views = ["as it is", "mirrored"] if mirror else ["as it is"]
    return np.concatenate(
        [_array_or_compute([view, *about, runtime(), pictures], partial(compute, view == "mirrored")) for view in views]
    )


def converted(model: keras.Model, pictures: Examples) -> Network:
    """Return a frozen model in LiteRT's format, converted now or in an earlier run.

    Args:
        model: the frozen network, which takes RGB in [0, 1].
        pictures: uint8 pictures `(n, size, size, 3)`, on the first of which a new conversion is compared with Keras.

    Raises:
        InputError: LiteRT lacks an operation of the network, or computes other features.
    """
    content = _bytes_or_compute(["network", *_describe(model)], lambda: _convert(model, pictures))
    return Network(content, model.name)


def _describe(model: keras.Model) -> list[str]:
    """Return what the features of given pictures depend on besides what they are computed with."""
    return [model.to_json(), hash_weights(model), keras.version(), tf.__version__, code_of("train")]


def _convert(model: keras.Model, pictures: Examples) -> bytes:
    """Convert a base, and compare the features of a few pictures with Keras'."""
    content = convert(rescale_input(model))
    shown = pictures[np.arange(min(COMPARED, len(pictures)))]
    expected = model(tf.constant(shown, tf.float32) / 255, training=False).numpy()
    require_near_features(Network(content, model.name).outputs(shown), expected, model.name)
    return content


def _array_or_compute(parts: Sequence[str], compute: Callable[[], np.ndarray]) -> np.ndarray:
    key = _key_of(parts)
    if kept := _find(key):
        return np.asarray(np.load(io.BytesIO(kept), allow_pickle=False))
    array, data = compute(), io.BytesIO()
    np.save(data, array, allow_pickle=False)
    _keep(key, data.getbuffer())
    return array


def _bytes_or_compute(parts: Sequence[str], compute: Callable[[], bytes]) -> bytes:
    key = _key_of(parts)
    if kept := _find(key):
        return bytes(kept)
    data = compute()
    _keep(key, data)
    return data


def _key_of(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _find(key: str) -> memoryview | None:
    """Return what the cache holds under a key, if it is what was put there."""
    # A cache that cannot be used costs time only. Nothing is computed in this block, because such errors are not the
    # cache's.
    with _reported(), _open_cache() as store:
        kept = store.get(key)
        if kept is not None:
            if isinstance(kept, bytes) and kept[:DIGEST] == _digest(key, memoryview(kept)[DIGEST:]):
                return memoryview(kept)[DIGEST:]
            print(printable(f"{store.directory}: an entry is damaged; it is computed again"), file=sys.stderr)
            del store[key]
    return None


def _keep(key: str, data: bytes | memoryview) -> None:
    with _reported(), _open_cache() as store:
        store.set(key, b"".join([_digest(key, data), data]))


def _digest(key: str, data: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(data)
    return digest.digest()


def _hash_array(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _open_cache() -> diskcache.Cache:
    return diskcache.Cache(str(Path(platformdirs.user_cache_dir("smallvision"), "features")), size_limit=KEPT)


@contextmanager
def _reported() -> Iterator[None]:
    """Report what is wrong with the cache, and go on without it."""
    try:
        yield
    # A damaged database makes diskcache raise almost any class of error, and without a home folder there is a
    # RuntimeError.
    except Exception as error:
        print(printable(f"features are not kept: {error}"), file=sys.stderr)
