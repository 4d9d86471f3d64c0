"""Errors a user can cause, and the exit code each ends a command with."""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """What, where, expected, remedy, in one line. `exit_code` is the process's."""

    exit_code = 1


class ParameterError(UserError):
    """`params.yaml` or the command line is wrong."""

    exit_code = 2


class InputError(UserError):
    """An archive, a picture or a model cannot be used."""

    exit_code = 3


class NetworkError(UserError):
    """A download or its credentials failed."""

    exit_code = 4


class SurroundingsError(UserError):
    """Disk, permission, memory or a lock is in the way."""

    exit_code = 5


class DivergedError(UserError):
    """The loss became NaN or infinite."""

    exit_code = 6


_SURROUNDINGS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "the file system is read-only",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: "free some memory",
}


def printable(text: str) -> str:
    """`text` on one line, with characters that would disturb a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def run(name: str, main: Callable[[], None]) -> NoReturn:
    """Run `main` and end the process with the exit code of what happened.

    A `UserError` becomes one line on stderr; a bug keeps its traceback and exits 1.
    """
    signal.signal(signal.SIGTERM, _stop)
    # A picture that matters is rejected with its reason; one with, say, broken EXIF is good enough.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # A terminal or a pipe that cannot show a letter must not turn a file name into a crash.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        _fail(name, str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(name, "interrupted", 130)
    except BrokenPipeError:
        # The reader (`| head`) has gone; the flush at exit must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except MemoryError:
        _fail(name, "out of memory: lower batch_size or image_size, or free some memory", 5)
    except OSError as error:
        remedy = _SURROUNDINGS.get(error.errno or 0)
        if remedy is None:
            raise
        _fail(name, f"{error.filename or 'a file'}: {error.strerror}: {remedy}", 5)
    sys.exit(0)


def _stop(_signal: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _fail(name: str, message: str, code: int) -> NoReturn:
    print(f"{name}: {printable(message)}", file=sys.stderr)
    sys.exit(code)
