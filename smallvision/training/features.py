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

from smallvision.core.files import sha256_of
from smallvision.data.pictures import batches
from smallvision.data.pictures.batches import Inputs
from smallvision.data.pictures.loading import Pictures
from smallvision.models import inference
from smallvision.models.inference import run_model
from smallvision.models.keras_file import fingerprint

KEPT = 4 * 2**30  # bytes; the longest unused make room


def compute_features(model: keras.Model, inputs: Inputs, *, mirror: bool = False) -> np.ndarray:
    """Run a frozen model, or take the result of an earlier run.

    Kept in the user's cache folder, not in the project: it is no output of a stage, and
    experiments that run in copies of the project share it. The key is made of everything the
    result depends on (layers, weights, pictures and how they are read, Keras' version), so it is never stale.

    Args:
        model: takes RGB in [0, 1].
        inputs: pictures, or float32 features of lower layers.
        mirror: add the features of the mirror images, behind the others.

    Returns:
        float32 array `(n, ...)`, with `mirror` `(2 n, ...)`.
    """
    if mirror:
        return np.concatenate([_cached(model, inputs, mirror=False), _cached(model, inputs, mirror=True)])
    return _cached(model, inputs, mirror=False)


def _cached(model: keras.Model, inputs: Inputs, *, mirror: bool) -> np.ndarray:
    key = hashlib.sha256(
        "\n".join(
            [
                "mirrored" if mirror else "as it is",
                model.to_json(),
                fingerprint(model),
                keras.version(),
                tf.__version__,
                sha256_of(Path(batches.__file__)),
                sha256_of(Path(inference.__file__)),
                inputs.fingerprint
                if isinstance(inputs, Pictures)
                else hashlib.sha256(np.ascontiguousarray(inputs).data).hexdigest(),
            ]
        ).encode()
    ).hexdigest()
    # A cache that cannot be used costs time only; what fails in computing is no matter of the cache.
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


def _open_cache() -> diskcache.Cache:
    return diskcache.Cache(str(Path(platformdirs.user_cache_dir("smallvision"), "features")), size_limit=KEPT)


@contextmanager
def _reported() -> Iterator[None]:
    """Report what is wrong with the cache, and go on."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, EOFError, RuntimeError) as error:  # RuntimeError: no home folder
        print(f"features are not kept: {error}", file=sys.stderr)
