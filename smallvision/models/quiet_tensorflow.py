"""Import TensorFlow and run LiteRT without their start-up messages."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from smallvision.core.errors import SurroundingsError, UserError, first_line

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def import_tensorflow() -> None:
    """Import TensorFlow and keep its messages about CUDA and oneDNN off the terminal.

    TensorFlow writes some of them before it reads its own log level (tensorflow#100442), so the level alone does not
    suffice. If the user has set TF_CPP_MIN_LOG_LEVEL, nothing is hidden but what this level holds back.

    Raises:
        SurroundingsError: TensorFlow cannot be loaded, for example because memory is short.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if LEVEL in os.environ:
        _import_or_explain()
        return
    os.environ[LEVEL] = "3"
    with stderr_put_aside():
        _import_or_explain()


def _import_or_explain() -> None:
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise SurroundingsError(
            f"TensorFlow cannot be loaded: {first_line(error)}; free some memory, or install again"
        ) from error


@contextmanager
def stderr_put_aside() -> Iterator[None]:
    """Hide what libraries write straight to file descriptor 2 while the block runs.

    If the block fails, what they wrote is shown after all, unless the error is a `UserError` of ours or an
    interruption.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
            sys.stderr.flush()
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException:
            os.dup2(stderr, 2)
            messages.seek(0)
            shutil.copyfileobj(messages, sys.stderr.buffer)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
