"""The pictures of a subset as an array that need not fit into memory."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import PIL

from smallvision.core.errors import InputError, UserError
from smallvision.data.pictures import decoding as pictures
from smallvision.data.pictures.decoding import to_input
from smallvision.data.pictures.manifest import Entry

BUDGET = 2**30  # bytes of decoded pictures that one process keeps: 15,900 at 150 pixels


class Pictures:
    """The pictures of one subset, indexed as a uint8 array `(n, size, size, 3)` is by an array.

    Each is decoded when it is first asked for, and kept as long as the budget lasts; the rest are
    read from disk each time, with the same result.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, entries: Sequence[Entry], image_size: int, budget: int = BUDGET) -> None:
        """Check every file against the manifest.

        Args:
            folder: `data/pictures`.
            entries: the subset's rows of the manifest, in order.
            image_size: side of the square, pixels.
            budget: bytes of decoded pictures to keep at most.

        Raises:
            InputError: a picture is missing or is not the one the manifest names.
        """
        self.shape = (len(entries), image_size, image_size, 3)
        self.failure: UserError | None = None  # what ended a later read; TensorFlow would hide it
        self._folder, self._entries = folder, entries
        count = min(len(entries), budget // (image_size * image_size * 3))
        self._kept = np.empty((count, *self.shape[1:]), np.uint8)
        self._is_kept = np.zeros(count, bool)
        # Reading, hashing, decoding and resizing release the interpreter lock, so threads do; each takes
        # a picture, and OpenCV's own threads would only come in between.
        cv2.setNumThreads(1)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        for _ in self._pool.map(self._read, range(len(entries))):
            pass

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the pictures at `indices`, an integer array."""
        if len(self._kept) == len(self) and self._is_kept[indices].all():
            kept: np.ndarray = self._kept[indices]
            return kept
        try:
            return np.stack(list(self._pool.map(self._picture, indices)))
        except UserError as error:
            self.failure = error
            raise

    @property
    def budget_used(self) -> int:
        """Bytes of decoded pictures, once all were asked for."""
        return self._kept.nbytes

    @property
    def fingerprint(self) -> str:
        """A SHA-256 of all that the pixels depend on: files, size, and how they are decoded."""
        digest = hashlib.sha256(Path(pictures.__file__).read_bytes())
        digest.update(f"{PIL.__version__} {cv2.__version__} {self.shape}".encode())
        for entry in self._entries:
            digest.update(entry.sha256.encode())
        return digest.hexdigest()

    def _picture(self, index: int) -> np.ndarray:
        if index < len(self._kept) and self._is_kept[index]:
            kept: np.ndarray = self._kept[index]
            return kept
        picture = to_input(self._read(index), self.shape[1])
        if index < len(self._kept):
            self._kept[index] = picture
            self._is_kept[index] = True
        return picture

    def _read(self, index: int) -> bytes:
        path = self._folder / self._entries[index].path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: missing; `dvc repro -f split` makes it again") from None
        if hashlib.sha256(data).hexdigest() != self._entries[index].sha256:
            raise InputError(f"{path}: changed since `split` wrote it; `dvc repro -f split` makes it again")
        return data


@contextmanager
def own_errors(*subsets: Pictures) -> Iterator[None]:
    """Raise what a subset failed with in place of the error that TensorFlow wraps it in."""
    try:
        yield
    except Exception:
        for subset in subsets:
            if subset.failure:
                raise subset.failure from None
        raise
