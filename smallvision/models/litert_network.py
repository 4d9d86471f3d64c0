"""A network in LiteRT's format, ready to run on all cores, without TensorFlow."""

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
# Each interpreter has its own copy of the weights. On a machine with more cores, each gets several of them.
INTERPRETERS = 8


class Network:
    """A network in LiteRT's format.

    There is an interpreter for each core, and each runs one picture at a time. That keeps all cores busy while other
    pictures are decoded, and was faster than one interpreter with a thread for each core (docs/results.md). The answer
    about a picture does not depend on the number of cores, nor on the pictures beside it.
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
        cores = os.cpu_count() or 1
        workers = min(cores, INTERPRETERS)
        self._threads = cores // workers
        self._pool = ThreadPoolExecutor(workers)
        self._own = threading.local()  # holds the interpreter of each thread
        with stderr_put_aside():  # LiteRT says there, once, that it has been loaded
            try:
                self._signature = self._pool.submit(self._read_signature).result()
            # LiteRT raises one of these for a bad file. A MemoryError is not the file's fault and passes through.
            except (ValueError, RuntimeError) as error:
                raise InputError(f"{name}: cannot be loaded: {first_line(error)}; {AGAIN}") from None

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of one input and of one output, without the batch axis."""
        return self._signature

    def _read_signature(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        interpreter = self._interpreter()
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        return tuple(taken["shape_signature"][1:].tolist()), tuple(given["shape_signature"][1:].tolist())

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

        def run(index: int) -> np.ndarray:
            picture = pictures[np.array([index])]
            return self._run(picture[:, :, ::-1] if mirror else picture)

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

    def _run(self, picture: np.ndarray) -> np.ndarray:
        """Run the interpreter of this thread on one picture `(1, size, size, 3)` in [0, 255]."""
        interpreter = self._interpreter()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture.astype(np.float32))
        interpreter.invoke()
        row: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        return row

    def _interpreter(self) -> "Interpreter":
        """Return the interpreter of this thread; the first call in each thread makes it."""
        if not hasattr(self._own, "interpreter"):
            interpreter = self._make(model_content=self._content, num_threads=self._threads)
            interpreter.allocate_tensors()
            self._own.interpreter = interpreter
        made: Interpreter = self._own.interpreter
        return made
