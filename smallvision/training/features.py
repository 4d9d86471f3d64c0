"""Outputs of a frozen base, computed once and kept between runs."""

import hashlib
import io
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diskcache
import keras
import numpy as np
import platformdirs
import tensorflow as tf

from smallvision.data.pictures.batches import Examples
from smallvision.data.pictures.loading import Pictures
from smallvision.models.inference import run_model
from smallvision.models.keras_file import hash_weights
from smallvision.training.code import code_of

KEPT = 4 * 2**30  # bytes; if there are more, those that were stored first are deleted


def compute_features(model: keras.Model, inputs: Examples, *, mirror: bool = False) -> np.ndarray:
    """Run a frozen model, or take the result of an earlier run.

    Results are kept in the user's cache folder and not in the project, because they are not the output of a stage, and
    because experiments that run in copies of the project can then share them. The key is made of everything that the
    result depends on (layers, weights, pictures, the code of the train stage, the versions of Keras and TensorFlow), so
    a kept result is never out of date.

    Args:
        model: the frozen network, which takes RGB in [0, 1], or the output of lower layers.
        inputs: uint8 pictures `(n, size, size, 3)`, or the float32 output of lower layers `(n, ...)`.
        mirror: add the features of the mirror images after the others.

    Returns:
        float32 array `(n, ...)`, with `mirror` `(2 n, ...)`.
    """
    if mirror:
        return np.concatenate([_cached(model, inputs, mirror=False), _cached(model, inputs, mirror=True)])
    return _cached(model, inputs, mirror=False)


def _cached(model: keras.Model, inputs: Examples, *, mirror: bool) -> np.ndarray:
    parts = [
        "mirrored" if mirror else "as it is",
        model.to_json(),
        hash_weights(model),
        keras.version(),
        tf.__version__,
        code_of("train"),
        inputs.content_hash if isinstance(inputs, Pictures) else _hash_array(inputs),
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    # A cache that cannot be used costs time only. The computation is outside, because its errors are not the cache's.
    with _reported(), _open_cache() as cache:
        kept = cache.get(key, read=True)
        if kept is not None:
            with kept:
                return np.asarray(np.load(kept, allow_pickle=False))
    features = run_model(model, inputs, mirror=mirror)
    data = io.BytesIO()
    np.save(data, features, allow_pickle=False)
    data.seek(0)
    with _reported(), _open_cache() as cache:
        cache.set(key, data, read=True)
    return features


def _hash_array(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _open_cache() -> diskcache.Cache:
    return diskcache.Cache(str(Path(platformdirs.user_cache_dir("smallvision"), "features")), size_limit=KEPT)


@contextmanager
def _reported() -> Iterator[None]:
    """Report what is wrong with the cache, and go on without it."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, EOFError, RuntimeError) as error:  # RuntimeError: no home folder
        print(f"features are not kept: {error}", file=sys.stderr)
