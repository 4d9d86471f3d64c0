"""Outputs of a frozen base, computed once and kept between runs."""

import hashlib
import io
import sqlite3
import sys
from pathlib import Path

import diskcache
import keras
import numpy as np
import platformdirs
from tqdm import tqdm

from smallvision.backbones import fingerprint

BATCH = 50
KEPT = 4 * 2**30  # bytes; the longest unused make room


def compute_features(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Run a frozen model over pictures, or take the result of an earlier run.

    Kept in the user's cache folder, not in the project: it is no output of a stage, and
    experiments that run in copies of the project share it. The key is made of everything the
    result depends on (layers, weights, pixels, Keras' version), so it is never stale.

    Args:
        model: takes RGB in [0, 1].
        pictures: uint8 array `(n, size, size, 3)`.

    Returns:
        float32 array `(n, ...)`.
    """
    key = hashlib.sha256(
        "\n".join(
            [model.to_json(), fingerprint(model), keras.version(), hashlib.sha256(pictures.data).hexdigest()]
        ).encode()
    ).hexdigest()
    try:
        with diskcache.Cache(
            str(Path(platformdirs.user_cache_dir("smallvision"), "features")), size_limit=KEPT
        ) as cache:
            kept = cache.get(key, read=True)
            if kept is not None:
                with kept:
                    features: np.ndarray = np.load(kept, allow_pickle=False)
                    return features
            features = _compute(model, pictures)
            data = io.BytesIO()
            np.save(data, features, allow_pickle=False)
            data.seek(0)
            cache.set(key, data, read=True)
            return features
    except (OSError, sqlite3.Error, ValueError) as error:
        # A cache that cannot be used costs time only.
        print(f"features are not kept: {error}", file=sys.stderr)
        return _compute(model, pictures)


def _compute(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    starts = tqdm(range(0, len(pictures), BATCH), desc="features", unit="batch", disable=not sys.stderr.isatty())
    batches = [model.predict_on_batch(pictures[i : i + BATCH].astype(np.float32) / 255) for i in starts]
    return np.concatenate(batches)
