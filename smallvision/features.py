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

from smallvision.backbones import fingerprint
from smallvision.batches import evaluation_batches

KEPT = 4 * 2**30  # bytes; the longest unused make room


def compute_features(model: keras.Model, inputs: np.ndarray, *, mirror: bool = False) -> np.ndarray:
    """Run a frozen model, or take the result of an earlier run.

    Kept in the user's cache folder, not in the project: it is no output of a stage, and
    experiments that run in copies of the project share it. The key is made of everything the
    result depends on (layers, weights, pixels, Keras' version), so it is never stale.

    Args:
        model: takes RGB in [0, 1].
        inputs: uint8 array `(n, size, size, 3)`, or float32 features of lower layers.
        mirror: add the features of the mirror images, behind the others.

    Returns:
        float32 array `(n, ...)`, with `mirror` `(2 n, ...)`.
    """
    if mirror:
        return np.concatenate([_cached(model, inputs, "as it is"), _cached(model, inputs, "mirrored")])
    return _cached(model, inputs, "as it is")


def _cached(model: keras.Model, inputs: np.ndarray, view: str) -> np.ndarray:
    key = hashlib.sha256(
        "\n".join(
            [
                view,
                model.to_json(),
                fingerprint(model),
                keras.version(),
                hashlib.sha256(np.ascontiguousarray(inputs).data).hexdigest(),
            ]
        ).encode()
    ).hexdigest()
    # A cache that cannot be used costs time only; what fails in computing is no matter of the cache.
    with _reported(), _open_cache() as cache:
        kept = cache.get(key, read=True)
        if kept is not None:
            with kept:
                return np.asarray(np.load(kept, allow_pickle=False))
    features = _compute(model, inputs, view)
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
    except (OSError, sqlite3.Error, ValueError, EOFError) as error:
        print(f"features are not kept: {error}", file=sys.stderr)


def _compute(model: keras.Model, inputs: np.ndarray, view: str) -> np.ndarray:
    if view == "mirrored":
        inputs = np.ascontiguousarray(inputs[:, :, ::-1])
    batches = evaluation_batches(inputs, np.zeros(len(inputs)))
    features: np.ndarray = model.predict(batches, verbose=1 if sys.stdout.isatty() else 0)
    return features
