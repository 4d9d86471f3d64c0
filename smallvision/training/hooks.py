"""What a training does besides learning: keep its state, and report how it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smallvision.training.checkpoints import Checkpoints
from smallvision.training.history import History

Report = Callable[[History], None]


@dataclass(frozen=True)
class Hooks:
    """What happens after each epoch.

    Attributes:
        checkpoints: where the state is kept, and looked for before the first epoch; None keeps no state.
        reports: functions that are called with the history so far.
    """

    checkpoints: Checkpoints | None = None
    reports: Sequence[Report] = ()

    def of(self, phase: str) -> "Hooks":
        """Return the hooks of a phase of the same training, which keeps its state in a folder of that name."""
        return replace(self, checkpoints=self.checkpoints and self.checkpoints.of(phase))

    def after(self, earlier: History) -> "Hooks":
        """Return the hooks of a later phase, whose reports show the `earlier` epochs before its own."""

        def continued(report: Report) -> Report:
            return lambda history: report([*earlier, *history])

        return replace(self, reports=[continued(report) for report in self.reports])
