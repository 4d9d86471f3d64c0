"""Processes that are timed, and the table of what they took."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
TRAIN = (PYTHON, "-m", "stages.train", "pictures", ".", "train.json", ".", "logs")
EVALUATE = (PYTHON, "-m", "stages.evaluate", ".", "train.json", "pictures", "test.json", "plots")


@dataclass(frozen=True)
class Finished:
    """A process that ended well: its output, how long it took, and its largest resident memory."""

    output: str
    seconds: float
    mebibytes: float

    def epochs(self) -> list[float]:
        """The seconds of each epoch, as the process printed them."""
        return [float(match) for match in re.findall(r"^epoch .*?  ([\d.]+) s", self.output, re.M)]


@dataclass
class Table:
    """What was measured. Each row is printed when it is added."""

    numbers: dict[str, object] = field(default_factory=dict)

    def add(
        self, what: str, ours: float, unit: str, name: str = "", theirs: float = 0, *, smaller: bool = False
    ) -> None:
        """Add a row and print it.

        Args:
            what: what was measured.
            ours: our figure.
            unit: the unit of both figures.
            name: whose the other figure is, if there is one.
            theirs: the other figure.
            smaller: whether the smaller figure is the faster one.
        """
        ratio = (theirs / ours if smaller else ours / theirs) if theirs else 0
        left = f"{ours:,.4g} {unit}" if ours < 100 else f"{ours:,.0f} {unit}"
        right = f"  {name} {theirs:,.4g}".ljust(28) + f"{ratio:.2f}" if theirs else ""
        print(f"{what:34} {left:>16}{right}", flush=True)
        self.numbers[f"{what}{' / ' + name if name else ''}"] = {"ours": ours, "theirs": theirs or None, "unit": unit}


def run(command: Sequence[str], folder: Path) -> Finished:
    """Run a command in `folder` to its end.

    Raises:
        subprocess.CalledProcessError: it failed. What it wrote is on stderr.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.stderr.write(text)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Finished(text, seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def run_by_turns(commands: Mapping[str, Sequence[str]], folder: Path, rounds: int) -> dict[str, list[Finished]]:
    """Run all commands one after the other, `rounds` times."""
    finished: dict[str, list[Finished]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            finished[name].append(run(command, folder))
    return finished
