"""The pictures of a subset, used like an array that need not fit into memory."""

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
from smallvision.data.pictures.decoding import to_input
from smallvision.data.pictures.manifest import Entry

BUDGET = 2**30  # bytes of decoded pictures that one process keeps in memory: 15,900 pictures at 150 pixels


class Pictures:
    """The pictures of one subset, indexed by an array of integers like a uint8 array `(n, size, size, 3)`, RGB.

    A picture is decoded when it is first asked for. The first pictures, as many as the budget allows, are then kept in
    memory; the others are read from disk each time, with the same result.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        folder: Path,
        entries: Sequence[Entry],
        image_size: int,
        budget: int = BUDGET,
        groups: Sequence[int] | None = None,
    ) -> None:
        """Check every file against the manifest.

        Args:
            folder: the folder that `split` wrote, `data/pictures`.
            entries: the rows of the manifest for this subset, in order.
            image_size: the side of the square in pixels.
            budget: how many bytes of decoded pictures to keep at most.
            groups: a number for each picture, the same one for pictures that belong together; None: none do.

        Raises:
            InputError: a picture is missing, or is not the one that the manifest names.
        """
        self.shape = (len(entries), image_size, image_size, 3)
        self.failure: UserError | None = None  # what made a later read fail; TensorFlow would hide it
        self.groups = np.arange(len(entries)) if groups is None else np.array(groups)  # integers `(n,)`
        self._folder, self._entries = folder, entries
        count = min(len(entries), budget // (image_size * image_size * 3))
        self._kept = np.empty((count, *self.shape[1:]), np.uint8)
        self._is_kept = np.zeros(count, bool)
        # Threads are enough, because reading, hashing, decoding and resizing release the interpreter lock. Each works
        # on one picture, so OpenCV's own threads would only get in the way.
        cv2.setNumThreads(1)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        for _ in self._pool.map(self._read, range(len(entries))):
            pass

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the pictures at `indices`, an integer array `(k,)`, as uint8 `(k, size, size, 3)`.

        Raises:
            InputError: a file was deleted or changed meanwhile; `failure` keeps the error.
        """
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
        """Bytes of decoded pictures that are kept once all pictures have been asked for."""
        return self._kept.nbytes

    @property
    def content_hash(self) -> str:
        """The SHA-256 of what the pixels depend on besides our own code: files, order, size, and decoding libraries."""
        digest = hashlib.sha256(f"{PIL.__version__} {cv2.__version__} {self.shape}".encode())
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


Examples = Pictures | np.ndarray  # uint8 pictures `(n, size, size, 3)`, or float32 features `(n, ...)`
Labelled = tuple[Pictures, np.ndarray]  # pictures and their labels, integers `(n,)`


@contextmanager
def own_errors(*subsets: Pictures) -> Iterator[None]:
    """Raise the error with which a subset failed, in place of the one in which TensorFlow wraps it."""
    try:
        yield
    except Exception:
        for subset in subsets:
            if subset.failure:
                raise subset.failure from None
        raise
