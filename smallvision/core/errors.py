"""Errors a user can cause, and the exit code each ends a command with."""

import contextlib
import errno
import os
import signal
import sys
import traceback
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
    errno.ENOENT: "it was moved or deleted meanwhile",
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "the file system is read-only",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: "free some memory",
    errno.EISDIR: "expected a file, found a folder",
    errno.ENOTDIR: "expected a folder, found a file",
    errno.ENAMETOOLONG: "use a shorter name",
}

OUT_OF_MEMORY = "out of memory: lower batch_size or image_size, or free some memory"


def printable(text: str) -> str:
    """`text` on one line, with characters that would disturb a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shorten(text: str, length: int) -> str:
    """Return `text` on one line, its middle left out if it is longer than `length`."""
    text = printable(text)
    return text if len(text) <= length else f"{text[: length // 2]}…{text[len(text) + 1 - (length - length // 2) :]}"


def surroundings_of(error: BaseException) -> str | None:
    """Return what `run` says of a full disk and the like; None: that is not what `error` is about."""
    # TensorFlow's, by name: this module must not import it.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        return f"{error.filename or 'a file'}: {error.strerror}: {_SURROUNDINGS[error.errno]}"
    return None


_received: list[int] = []  # the signal that asked this process to end


def check_stopped() -> None:
    """Raise what a signal raised, once more: a library may have swallowed it (seen once in a training).

    Called between the steps of whatever takes long.
    """
    if _received:
        raise KeyboardInterrupt


def run(name: str, main: Callable[[], None]) -> NoReturn:
    """Run `main` and end the process with the exit code of what happened.

    A `UserError` becomes one line on stderr; a bug keeps its traceback and exits 1.
    """
    if sys.getfilesystemencoding() != "utf-8":  # LC_ALL=C PYTHONUTF8=0: a file could not be named ü
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606

    def stop(number: int, _frame: object) -> NoReturn:
        _received.append(number)
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process whatever it is doing
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    # A picture that matters is rejected with its reason; one with, say, broken EXIF is good enough.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # A closed 0, 1 or 2 would go to the next file that is opened, and libraries write there.
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    # A terminal or a pipe that cannot show a letter must not turn a file name into a crash.
    for name_of_stream in ("stdout", "stderr"):
        stream = getattr(sys, name_of_stream)
        if stream is None:  # closed by the caller
            setattr(sys, name_of_stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        # Whatever it has become: TensorFlow's import turns an interruption into an ImportError.
        if _received or isinstance(error, KeyboardInterrupt):
            _fail(name, "interrupted", 128 + (_received or [signal.SIGINT])[0])
        _explain(name, error)
        traceback.print_exc()
        _leave(1)
    sys.exit(0)


def _explain(name: str, error: BaseException) -> None:
    """End with one line and an exit code of its own if `error` is one that a user can do something about."""
    if isinstance(error, UserError):
        _fail(name, str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):  # the reader (`| head`) has gone
        _leave(128 + signal.SIGPIPE)
    if reason := surroundings_of(error):
        _fail(name, reason, 5)


def _fail(name: str, message: str, code: int) -> NoReturn:
    print(f"{name}: {printable(message)}", file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process without the clean-up of libraries.

    That of TensorFlow waits for ever where its threads still make batches, and half an import of it has an exit code
    of its own. What our own code cleans up, it has when the exception passed.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it, or the disk is full
            stream.flush()
    os._exit(code)
