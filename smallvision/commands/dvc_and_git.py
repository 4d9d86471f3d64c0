"""DVC and Git, called as a person would."""

import subprocess
from collections.abc import Sequence
from typing import Any

from smallvision.core.errors import SurroundingsError


def output_of(*command: str) -> str:
    """Run a program and return what it prints; its errors go to the terminal.

    Raises:
        SurroundingsError: it is not there, or failed.
    """
    return _run(command, stdout=subprocess.PIPE).stdout


def split_pictures() -> None:
    """Fetch and split the pictures, if that is not done yet; what the stages print goes to the terminal.

    Raises:
        SurroundingsError: it failed. Its own message is on the terminal.
    """
    _run(("dvc", "repro", "--quiet", "split"))


def _run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    line = " ".join(command)
    try:
        return subprocess.run(command, text=True, encoding="utf-8", check=True, **options)
    except FileNotFoundError:
        raise SurroundingsError(f"`{line}`: not found; `source .venv/bin/activate` puts DVC on the path") from None
    except subprocess.CalledProcessError:
        raise SurroundingsError(f"`{line}` failed, see above") from None
