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
        checkpoints: where the state is kept, and looked for before the first epoch; None: it is not kept.
        reports: each is called with the history so far.
    """

    checkpoints: Checkpoints | None = None
    reports: Sequence[Report] = ()

    def of(self, phase: str) -> "Hooks":
        """Return the hooks of a further phase of the same training, whose state is kept apart."""
        return replace(self, checkpoints=self.checkpoints and self.checkpoints.of(phase))

    def after(self, earlier: History) -> "Hooks":
        """Return the hooks of a phase that follows others, whose epochs stand before its own in every report."""

        def continued(report: Report) -> Report:
            return lambda history: report([*earlier, *history])

        return replace(self, reports=[continued(report) for report in self.reports])
