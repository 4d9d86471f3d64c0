"""DVC and Git, called as a person would."""

import subprocess

from smallvision.errors import SurroundingsError


def output_of(*command: str) -> str:
    """Run a program and return what it prints; its errors go to the terminal.

    Raises:
        SurroundingsError: it is not there, or failed.
    """
    line = " ".join(command)
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True).stdout
    except FileNotFoundError:
        raise SurroundingsError(f"`{line}`: not found; `source .venv/bin/activate` puts DVC on the path") from None
    except subprocess.CalledProcessError:
        raise SurroundingsError(f"`{line}` failed, see above") from None


def split_pictures() -> None:
    """Fetch and split the pictures, if that is not done yet.

    Raises:
        SurroundingsError: it failed. Its own message is on the terminal.
    """
    output_of("dvc", "repro", "--quiet", "split")
