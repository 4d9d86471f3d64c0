"""The trials of a sweep, as a table and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smallvision.core.files import replacing, write_csv
from smallvision.scaling.search_space import Interval, Space

RUNNING, FINISHED, STOPPED, FAILED, DIVERGED = "running", "finished", "stopped", "failed", "diverged"
HEADER = f"{'trial':>5} {'epochs':>6} {'val_acc':>7} {'seconds':>7} state     settings"


@dataclass(frozen=True)
class Trial:
    """A trial so far. `val_acc` is the best epoch's, as in metrics/train.json; None: there is none."""

    number: int
    state: str
    settings: Mapping[str, str]
    epochs: int = 0
    val_acc: float | None = None
    seconds: float = 0
    node: str = ""  # address of the machine
    reason: str = ""  # of a failure


def as_line(trial: Trial) -> str:
    """Write a line of the progress table; of a key its last part."""
    acc = "" if trial.val_acc is None else f"{trial.val_acc:.1%}"
    words = trial.reason or " ".join(f"{key.split('.')[-1]}={value}" for key, value in trial.settings.items())
    return f"{trial.number:5} {trial.epochs:6} {acc:>7} {trial.seconds:7.0f} {trial.state:9} {words}"


def find_winner(trials: Sequence[Trial]) -> Trial | None:
    """Return the best of the trials that trained to the end, the first of equals."""
    return max((t for t in trials if t.state == FINISHED), key=lambda t: t.val_acc or 0, default=None)


def write_results(table: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Write the trials that have ended as CSV, and beside it, as PNG, accuracy against each parameter."""
    ended = [trial for trial in trials if trial.state != RUNNING]
    keys = [*space.fixed, *space.free]
    facts = ["trial", "state", "epochs", "val_acc", "seconds", "node", "reason"]
    rows = []
    for t in ended:
        acc = "" if t.val_acc is None else f"{t.val_acc:.4f}"
        values = [t.settings.get(key, "") for key in keys]
        rows.append((t.number, t.state, t.epochs, acc, f"{t.seconds:.1f}", t.node, t.reason, *values))
    write_csv(table, [*facts, *keys], rows)
    draw(table.with_suffix(".png"), space, [trial for trial in ended if trial.val_acc is not None])


def draw(path: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Draw validation accuracy against each parameter that was searched, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    columns = min(3, len(space.free))
    rows = -(-len(space.free) // columns)
    figure = Figure(figsize=(1 + 3.3 * columns, 0.6 + 3 * rows), dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    best = find_winner(trials)
    for (key, found), axes in zip(space.free.items(), grid, strict=False):  # grid second, else zip takes one more of it
        for state, mark in ((FINISHED, {"c": "C0"}), (STOPPED, {"facecolors": "none", "edgecolors": "0.5"})):
            shown = [trial for trial in trials if trial.state == state]
            values: list[Any] = [trial.settings[key] for trial in shown]
            values = [float(v) for v in values] if isinstance(found, Interval) else [found.index(v) for v in values]
            axes.scatter(values, [trial.val_acc for trial in shown], label=state, **mark)
        if best:
            value = best.settings[key]
            x = float(value) if isinstance(found, Interval) else found.index(value)
            axes.scatter([x], [best.val_acc], s=120, facecolors="none", edgecolors="C1", label="best")
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
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
    for axes in grid:  # those that are left
        axes.set_axis_off()
    figure.supylabel("validation accuracy of the best epoch")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    with replacing(path) as part:
        figure.savefig(part, format="png")
