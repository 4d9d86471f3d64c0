"""Files that hold either all of the old content or all of the new, never half of it."""

import csv
import hashlib
import io
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from smallvision.core.errors import SurroundingsError, printable


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; that file replaces `path` if the block succeeds, or else is deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name gets a prefix because Keras and others judge a file by its ending. It is the same each time, so that the
    # next run overwrites what a killed one left; `locked` keeps a second run away.
    part = path.with_name(f"part-{path.name}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing what `path` stands for.

    The lock is a file beside `path`. The operating system frees it when the process ends, even if it is killed.

    Raises:
        SurroundingsError: another process holds the lock, such as a stage that outlived its `dvc repro`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f"{path.name}.lock")
    lock = FileLock(name)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        holder = printable(name.read_text(encoding="utf-8", errors="replace"))
        raise SurroundingsError(f"{path}: {holder} is writing it; wait until that process ends, or end it") from None
    try:
        name.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def require_space(folder: Path, needed: int) -> None:
    """Make the folder if there is none, and check before a long write that its disk has `needed` bytes free.

    Raises:
        SurroundingsError: it has fewer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SurroundingsError(f"{folder}: {needed} bytes needed, {free} free; free some space")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with line feeds, whatever the locale."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write `value` as strict JSON, one key per line, in the given order.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and the rows below it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
