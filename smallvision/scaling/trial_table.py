"""The trials of a sweep, as a table and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smallvision.core.files import replacing, write_csv
from smallvision.scaling.search_space import Choices, Interval, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNNING, FINISHED, STOPPED, FAILED, DIVERGED = "running", "finished", "stopped", "failed", "diverged"
HEADER = f"{'trial':>5} {'epochs':>6} {'val_acc':>7} {'seconds':>7} state     settings"


@dataclass(frozen=True)
class Trial:
    """A trial as far as it has come.

    `val_acc` is the validation accuracy of the best epoch, as in metrics/train.json; it is None before the first epoch
    has ended, and for a trial that failed. `node` is the address of the machine, `reason` says why a trial failed.
    """

    number: int
    state: str
    settings: Mapping[str, str]
    epochs: int = 0
    val_acc: float | None = None
    seconds: float = 0
    node: str = ""
    reason: str = ""


def format_trial(trial: Trial) -> str:
    """Return a line of the progress table. It shows only the last part of each key."""
    acc = "" if trial.val_acc is None else f"{trial.val_acc:.1%}"
    words = trial.reason or " ".join(f"{key.split('.')[-1]}={value}" for key, value in trial.settings.items())
    return f"{trial.number:5} {trial.epochs:6} {acc:>7} {trial.seconds:7.0f} {trial.state:9} {words}"


def find_winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the best trial of those that trained to the end. If several are equally good, the first one wins."""
    return max((t for t in trials if t.state == FINISHED), key=lambda t: t.val_acc or 0, default=None)


def write_results(table: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Write the trials that have ended as CSV, and beside it a PNG that shows accuracy against each parameter."""
    ended = [trial for trial in trials if trial.state != RUNNING]
    keys = [*space.fixed, *space.free]
    header = ["trial", "state", "epochs", "val_acc", "seconds", "node", "reason"]
    rows = []
    for t in ended:
        acc = "" if t.val_acc is None else f"{t.val_acc:.4f}"
        values = [t.settings.get(key, "") for key in keys]
        rows.append((t.number, t.state, t.epochs, acc, f"{t.seconds:.1f}", t.node, t.reason, *values))
    write_csv(table, [*header, *keys], rows)
    draw_trials(table.with_suffix(".png"), space, [trial for trial in ended if trial.val_acc is not None])


def draw_trials(path: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Draw validation accuracy against each parameter that was searched, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    columns = min(3, len(space.free))
    rows = -(-len(space.free) // columns)
    figure = Figure(figsize=(1 + 3.3 * columns, 0.6 + 3 * rows), dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    # `grid` comes second: `zip` asks its first argument first, so it takes no plot that it will not use.
    for (key, found), axes in zip(space.free.items(), grid, strict=False):
        _draw_parameter(axes, key, found, trials)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in grid:  # plots in the last row that no parameter needs
        axes.set_axis_off()
    figure.supylabel("validation accuracy of the best epoch")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _draw_parameter(axes: "Axes", key: str, found: Interval | Choices, trials: Sequence[Trial]) -> None:
    """Draw a point for each trial, and a circle round the best one."""

    def position(trial: Trial) -> float:
        value = trial.settings[key]
        return float(value) if isinstance(found, Interval) else found.index(value)

    def points(state: str) -> tuple[list[float], list[float]]:
        shown = [trial for trial in trials if trial.state == state]
        return [position(trial) for trial in shown], [trial.val_acc or 0 for trial in shown]

    axes.scatter(*points(FINISHED), label=FINISHED, c="C0")
    axes.scatter(*points(STOPPED), label=STOPPED, facecolors="none", edgecolors="0.5")
    if best := find_winner(trials):
        axes.scatter([position(best)], [best.val_acc or 0], s=120, facecolors="none", edgecolors="C1", label="best")
    if not isinstance(found, Interval):
        axes.set_xticks(range(len(found)), found)
        axes.set_xlim(-0.5, len(found) - 0.5)
    elif found.log:
        axes.set_xscale("log")
        axes.set_xlim(found.low / 1.2, found.high * 1.2)
    else:
        margin = (found.high - found.low) / 20
        axes.set_xlim(found.low - margin, found.high + margin)
    axes.set_xlabel(key)
    axes.grid(alpha=0.3)
