"""The errors that a user can cause, the exit code with which each ends a command, and words for messages."""

import errno
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """An error that one line explains: what happened, where, what was expected, and the remedy.

    `exit_code` is the code with which the process ends.
    """

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
    """Return `text` on one line, with characters that would disturb a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shorten(text: str, length: int) -> str:
    """Return `text` on one line, cut to `length` characters by an ellipsis in place of its middle."""
    text = printable(text)
    return text if len(text) <= length else f"{text[: length // 2]}…{text[len(text) + 1 - (length - length // 2) :]}"


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: `1 picture`, `2 pictures`, `2 classes`."""
    ending = "" if number == 1 else "es" if thing.endswith("s") else "s"
    return f"{number} {thing}{ending}"


def duration(seconds: float) -> str:
    """Return about how long something takes, in words: `40 s`, `4 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join(filter(None, [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]))


def in_words(names: Sequence[str]) -> str:
    """Return all of a few names in their order: `train, validation and test`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return the first of many names, sorted: `ant, bee, … (200 in all)`."""
    names = sorted(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"


def surroundings_of(error: BaseException) -> str | None:
    """Return what to tell the user about a full disk, missing permission or memory and the like.

    None means that `error` is about something else.
    """
    # TensorFlow's own error is recognised by its name, because this module must not import TensorFlow.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        return f"{error.filename or 'a file'}: {error.strerror}: {_SURROUNDINGS[error.errno]}"
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def first_problem(error: "ValidationError") -> str:
    """Return where the first wrong value is that pydantic found in a JSON file, and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}{': ' if where else ''}{first['msg']}"
