"""A network in LiteRT's format, ready to run on all cores, without TensorFlow."""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from smallvision.core.errors import InputError, first_line
from smallvision.core.process import check_stopped
from smallvision.core.progress import show_progress
from smallvision.data.pictures.loading import Examples
from smallvision.models.quiet_tensorflow import stderr_put_aside

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

AGAIN = "`dvc repro -f train` makes it again"
# There are no more interpreters than this, since each has its own copy of the weights. On a machine with more cores
# each of them has several threads.
INTERPRETERS = 8
# A sweep sets this variable, so that its trials do not take each other's cores. TensorFlow obeys it, too.
THREADS = "TF_NUM_INTRAOP_THREADS"


class Network:
    """A network in LiteRT's format.

    Several pictures are shared out among interpreters, one for each core, which run one picture at a time. That keeps
    all cores busy while other pictures are decoded, and is faster than one interpreter with a thread for each core
    (docs/results.md), which runs only a picture that comes alone. The answer about a picture does not depend on the
    number of cores, nor on the pictures beside it.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Load a network and allocate the tensors of the first interpreter.

        Args:
            content: a TFLite flatbuffer; bytes that follow it are ignored.
            name: what the user calls the file, for error messages.

        Raises:
            InputError: LiteRT cannot load it.
        """
        from ai_edge_litert.interpreter import Interpreter

        self._content, self._make = content, Interpreter
        cores = int(os.environ.get(THREADS) or os.cpu_count() or 1)
        workers = min(cores, INTERPRETERS)
        self._threads = math.ceil(cores / workers)
        self._pool = ThreadPoolExecutor(workers)
        self._own = threading.local()  # holds the interpreter of each thread of the pool
        with stderr_put_aside():  # LiteRT says there, once, that it has been loaded
            try:
                self._alone = self._interpreter(cores)
                (taken,), (given,) = self._alone.get_input_details(), self._alone.get_output_details()
            # LiteRT raises one of these for a bad file. A MemoryError is not the file's fault and passes through.
            except (ValueError, RuntimeError) as error:
                raise InputError(f"{name}: cannot be loaded: {first_line(error)}; {AGAIN}") from None

        self._lock = threading.Lock()  # for the interpreter of pictures that come alone
        self._taken, self._given = taken, given

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of one input and of one output, without the batch axis."""
        return tuple(self._taken["shape_signature"][1:].tolist()), tuple(self._given["shape_signature"][1:].tolist())

    def probabilities(self, pictures: Examples, shown: str | None = None) -> np.ndarray:
        """Predict the probability of each class.

        Args:
            pictures: uint8 `(n, size, size, 3)`, RGB.
            shown: what the pictures are, for a progress bar; None shows none.

        Returns:
            float64 array `(n, classes)`, rows that sum to 1.
        """
        rows: np.ndarray = self.outputs(pictures, shown).astype(np.float64)
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    def outputs(self, pictures: Examples, shown: str | None = None, *, mirror: bool = False) -> np.ndarray:
        """Return the raw outputs, float32 `(n, …)`; the arguments are those of `probabilities`.

        With `mirror`, the network sees the mirror images instead.
        """

        def run(index: int, interpreter: "Interpreter | None" = None) -> np.ndarray:
            picture = pictures[np.array([index])]
            return self._run(interpreter or self._own_interpreter(), picture[:, :, ::-1] if mirror else picture)

        if len(pictures) == 1:
            with self._lock:
                return run(0, self._alone)[np.newaxis]
        outputs = np.empty((len(pictures), *self.shapes[1]), np.float32)
        rows = [self._pool.submit(run, index) for index in range(len(pictures))]
        try:
            for index, row in enumerate(show_progress(rows, shown, len(rows)) if shown else rows):
                check_stopped()
                outputs[index] = row.result()
        finally:  # the threads would go on with the rest
            for row in rows:
                row.cancel()
        return outputs

    def _run(self, interpreter: "Interpreter", picture: np.ndarray) -> np.ndarray:
        """Run an interpreter on one picture `(1, size, size, 3)` in [0, 255]."""
        interpreter.set_tensor(self._taken["index"], picture.astype(np.float32))
        interpreter.invoke()
        row: np.ndarray = interpreter.get_tensor(self._given["index"])[0]
        return row

    def _own_interpreter(self) -> "Interpreter":
        """Return the interpreter of this thread; the first call in each thread makes it."""
        if not hasattr(self._own, "interpreter"):
            self._own.interpreter = self._interpreter(self._threads)
        own: Interpreter = self._own.interpreter
        return own

    def _interpreter(self, threads: int) -> "Interpreter":
        interpreter = self._make(model_content=self._content, num_threads=threads)
        interpreter.allocate_tensors()
        return interpreter
