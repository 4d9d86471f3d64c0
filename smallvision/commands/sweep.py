"""`smallvision sweep`: search parameters with Ray Tune, on this machine or a cluster."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from smallvision.commands.dvc_and_git import split_pictures
from smallvision.core.errors import SurroundingsError
from smallvision.core.files import locked
from smallvision.core.params_file import read_params
from smallvision.scaling.search_space import PARAMS, Space, check_space, read_space
from smallvision.scaling.trial_table import FINISHED, Trial, find_winner, write_results
from smallvision.training.checkpoints import training_key

SWEEPS = Path("data/sweeps")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="smallvision sweep",
        description="Search parameters: train on pictures that are split, compare on the validation pictures.",
    )
    parser.add_argument("space", nargs="?", type=Path, help="a YAML file, `key: values` a line")
    parser.add_argument(
        "-S", "--set-param", action="append", default=[], metavar="KEY=VALUES", dest="settings",
        help="as of `dvc exp run`, and ranges: 'lr=tag(log, interval(1e-4, 1e-2))'",
    )  # fmt: skip
    parser.add_argument("--trials", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--search", choices=("optuna", "random"), default="optuna", help="default: %(default)s")
    parser.add_argument("--cpus", type=int, help="cores of a trial; default: all of a machine, or a share per GPU")
    parser.add_argument(
        "--early-stopping", action=argparse.BooleanOptionalAction, default=True, help="end poor trials early (ASHA)"
    )
    parser.add_argument("--table", type=Path, default=Path("data/sweep.csv"), help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    if chosen.table.suffix != ".csv":
        parser.error(f"--table: expected a name that ends in .csv, received {chosen.table}")
    for name in ("trials", "cpus"):
        if (value := getattr(chosen, name)) is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, received {value}")
    return chosen


def main(arguments: Sequence[str]) -> None:
    chosen = parse_arguments(arguments)
    read_params()  # reports what is wrong with the file itself
    text = PARAMS.read_text(encoding="utf-8-sig")
    space = read_space(chosen.space, chosen.settings)
    check_space(space, text)
    if not os.environ.get("RAY_ADDRESS"):
        # Ray then listens on 127.0.0.1 only, as it does on macOS and Windows. It reads this when it is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        from smallvision.scaling.cluster import connect
        from smallvision.scaling.trial_training import Sweep, basis
        from smallvision.scaling.tuning import search
    except ModuleNotFoundError as error:
        raise SurroundingsError(f"{error.name} is not installed; `make setup-sweep` installs it") from None
    split_pictures()
    count = min(chosen.trials, space.combinations or chosen.trials)
    on = basis()
    facts = {
        "method": chosen.search, "early_stopping": chosen.early_stopping, "space": repr(space), "trials": count,
        "params": text, "basis": on,
    }  # fmt: skip
    sweep = Sweep(
        space=space,
        params=text,
        basis=on,
        count=count,
        method=chosen.search,
        early_stopping=chosen.early_stopping,
        folder=Path.cwd() / SWEEPS / training_key(facts),
        table=chosen.table,
    )
    with locked(SWEEPS / "sweep"):
        write_results(chosen.table, space, [])  # fails now, and not after hours, if the file cannot be written
        trials = search(sweep, connect(chosen.cpus))
    if len(trials) < count:  # Ray has caught the signal and ended early
        raise KeyboardInterrupt
    report(chosen.table, space, trials)


def report(table: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Print the winner, and the command that trains it in the pipeline.

    Raises:
        SurroundingsError: no trial was trained to the end.
    """
    write_results(table, space, trials)
    best = find_winner(trials)
    if not best:
        raise SurroundingsError(f"no trial came to its end, see {table}")
    ended = sum(trial.state == FINISHED for trial in trials)
    print(
        f"sweep: {len(trials)} trials, {ended} to the end, {sum(t.epochs for t in trials)} epochs; best: "
        f"trial {best.number}, validation accuracy {best.val_acc:.1%}\n"
        f"sweep: {table}, {table.with_suffix('.png')}; to train it in the pipeline:\n"
        + shlex.join(["dvc", "exp", "run", *(w for k, v in best.settings.items() for w in ("-S", f"{k}={v}"))])
    )
