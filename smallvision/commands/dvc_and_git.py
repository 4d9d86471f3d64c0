"""DVC and Git, called as a person would call them."""

import subprocess
from collections.abc import Sequence

from smallvision.core.errors import SurroundingsError


def output_of(*command: str) -> str:
    """Run a program and return what it prints to stdout; what it prints to stderr goes to the terminal.

    Raises:
        SurroundingsError: there is no such program, or it failed.
    """
    return _run(command, stdout=subprocess.PIPE).stdout


def split_pictures() -> None:
    """Fetch and split the pictures unless that is done already. What the stages print goes to the terminal.

    Raises:
        SurroundingsError: it failed, and its own message is on the terminal.
    """
    _run(("dvc", "repro", "--quiet", "split"))


def _run(command: Sequence[str], stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    line = " ".join(command)
    try:
        return subprocess.run(command, text=True, encoding="utf-8", check=True, stdout=stdout)
    except FileNotFoundError:
        raise SurroundingsError(f"`{line}`: not found; `source .venv/bin/activate` puts DVC on the path") from None
    except subprocess.CalledProcessError:
        raise SurroundingsError(f"`{line}` failed, see above") from None
