"""The state of an unfinished training, so that a run that was killed goes on after its last epoch."""

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from smallvision.core.errors import printable
from smallvision.core.files import replacing, require_space
from smallvision.training.code import code_of

KEPT = 2  # if a power cut damages the newest state, the one before it is still there
# The numbers depend on these packages too. The pins fix all packages; these are the ones that compute.
PACKAGES = ("ai-edge-litert", "keras", "numpy", "opencv-python-headless", "pillow", "tensorflow")


@dataclass(frozen=True)
class State:
    """All that the next epoch depends on.

    Attributes:
        variables: the variables of the network, including the states of its random layers, then the optimizer's.
        best: the weights of the best epoch so far.
        history: a row for each epoch so far.
        seconds: the time that these epochs took.
    """

    variables: Sequence[np.ndarray]
    best: Sequence[np.ndarray]
    history: Sequence[dict[str, float]]
    seconds: float


@dataclass(frozen=True)
class Checkpoints:
    """The last states of one training, or of one phase of it, each in a file in `folder`."""

    folder: Path

    def of(self, phase: str) -> "Checkpoints":
        """Return the checkpoints of a phase of the training, in a folder of that name inside this one."""
        return Checkpoints(self.folder / phase)

    def require_space(self, weights: Sequence[np.ndarray]) -> None:
        """Check that there is room for the states of a network with these weights.

        A state is at most four times as large as the weights: it holds the weights, the best ones, and one or two
        variables of the optimizer for each weight.

        Raises:
            SurroundingsError: there is too little room.
        """
        require_space(self.folder, 4 * (KEPT + 1) * sum(array.nbytes for array in weights))

    def save(self, state: State) -> None:
        """Add a state, keep the one before it, and delete older ones."""
        facts = json.dumps({"history": state.history, "seconds": state.seconds}, allow_nan=False)
        arrays = {f"variables_{index}": array for index, array in enumerate(state.variables)}
        arrays |= {f"best_{index}": array for index, array in enumerate(state.best)}
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, facts=np.array(facts), **arrays)
        with replacing(self.folder / f"epoch-{len(state.history):06}") as part, part.open("wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
        for old in self._newest_first()[KEPT:]:
            old.unlink()

    def load(self) -> State | None:
        """Return the newest undamaged state, or None if there is none. Damaged ones are reported and deleted."""
        for path in self._newest_first():
            content = path.read_bytes()
            checksum, content = content[:32], content[32:]
            if hashlib.sha256(content).digest() == checksum:
                return _parse(content)
            print(printable(f"{path}: damaged; going back to the one before it"), file=sys.stderr)
            path.unlink()
        return None

    def remove(self) -> None:
        """Delete the states of all phases, because the training is over. A logistic regression has kept none."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"), reverse=True)


def training_key(facts: Mapping[str, object]) -> str:
    """Return 16 hexadecimal digits that differ if anything differs that the training depends on.

    So the states of one training are never taken for those of another.

    Args:
        facts: the plan and the hash of the pictures, as JSON takes them. The code of the train stage and the versions
            of the packages that compute are added here.
    """
    everything = [facts, [version(name) for name in PACKAGES], code_of("train")]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:16]


def _parse(content: bytes) -> State:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        counts = {kind: sum(name.startswith(kind) for name in arrays.files) for kind in ("variables_", "best_")}
        variables, best = ([arrays[f"{kind}{index}"] for index in range(count)] for kind, count in counts.items())
        return State(variables, best, **facts)
