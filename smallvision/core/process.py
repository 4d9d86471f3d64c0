"""Run a command in its process: its signals, its streams, and the exit code with which it ends."""

import contextlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import NoReturn

from smallvision.core.errors import SurroundingsError, UserError, printable, surroundings_of

_received: list[int] = []  # the signals that asked this process to end


def check_stopped() -> None:
    """Raise KeyboardInterrupt if a signal has asked this process to end.

    The signal raised it already, but a library may have swallowed it (this happened once in a training). So whatever
    takes long calls this function between its steps.
    """
    if _received:
        raise KeyboardInterrupt


def run(name: str, main: Callable[[], None]) -> NoReturn:
    """Run `main` and end the process with the exit code for what happened.

    A `UserError` becomes one line on stderr; a bug keeps its traceback, and its exit code is 1.
    """
    # Without UTF-8, as with LC_ALL=C PYTHONUTF8=0, no file named ü could be opened, so Python starts again with it.
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    _catch_signals()
    _make_streams_usable()
    # Pillow warns of small flaws such as broken EXIF. A picture that does not decode raises an error of its own.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        main()
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        _leave(report_error(name, error))
    sys.exit(0)


def _catch_signals() -> None:
    """Turn the first SIGINT or SIGTERM into a KeyboardInterrupt; the second ends the process at once."""

    def stop(number: int, _frame: object) -> NoReturn:
        _received.append(number)
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def _make_streams_usable() -> None:
    """Make sure that a closed stream, or one that cannot show a letter, breaks nothing."""
    # The next file that is opened would get the number of a closed stream, and what libraries print to 1 and 2 would
    # end up in that file. So /dev/null takes these numbers first.
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def report_error(name: str, error: BaseException) -> int:
    """Print to stderr what ended a command, and return the exit code for it.

    An error that a user can do something about becomes one line; a bug keeps its traceback, and its code is 1.

    Args:
        name: the name of the command, with which the line begins.
        error: what `main` raised.
    """
    # A signal counts more than the type of the error: TensorFlow's import turns an interruption into an ImportError.
    if _received or isinstance(error, KeyboardInterrupt):
        message, code = "interrupted", 128 + (_received or [signal.SIGINT])[0]
    elif isinstance(error, UserError):
        message, code = str(error), error.exit_code
    elif isinstance(error, BrokenPipeError):  # The reader, such as `head`, has gone, so nobody would read a message.
        return 128 + signal.SIGPIPE
    elif reason := surroundings_of(error):
        message, code = reason, SurroundingsError.exit_code
    else:
        traceback.print_exception(error)
        return 1
    print(f"{name}: {printable(message)}", file=sys.stderr)
    return code


def _leave(code: int) -> NoReturn:
    """End the process without the clean-up of libraries.

    TensorFlow's clean-up waits for ever while its threads still make batches, and if its import was interrupted, it
    replaces the exit code by its own. Our own code cleaned up when the exception passed through it.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # Nobody reads it, or the disk is full.
            stream.flush()
    os._exit(code)
