"""`python -m smallvision.sweep`: search parameters with Ray Tune, on this machine or a cluster."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from smallvision.commands.dvc_and_git import split_pictures
from smallvision.core.errors import SurroundingsError, run
from smallvision.core.files import locked
from smallvision.core.params import read_params
from smallvision.scaling.search_space import PARAMS, Space, check, read_space
from smallvision.scaling.trial_table import FINISHED, Trial, find_winner, write_results
from smallvision.training.checkpoints import training_key

SWEEPS = Path("data/sweeps")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m smallvision.sweep",
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
    arguments = parser.parse_args()
    if arguments.table.suffix != ".csv":
        parser.error(f"--table: expected a name that ends in .csv, received {arguments.table}")
    for name in ("trials", "cpus"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name}: expected at least 1, received {value}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    read_params()  # what is wrong with the file itself
    text = PARAMS.read_text(encoding="utf-8-sig")
    space = read_space(arguments.space, arguments.settings)
    check(space, text)
    if not os.environ.get("RAY_ADDRESS"):
        # As Ray does on macOS and Windows: it listens on 127.0.0.1 alone. It looks when it is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        from smallvision.scaling import cluster, tuning
    except ModuleNotFoundError as error:
        raise SurroundingsError(f"{error.name} is not installed; `make setup-sweep` installs it") from None
    split_pictures()
    count = min(arguments.trials, space.combinations or arguments.trials)
    options = {"method": arguments.search, "early_stopping": arguments.early_stopping}
    on = tuning.basis()
    facts = options | {"space": repr(space), "trials": count, "params": text, "basis": on}
    folder = Path.cwd() / SWEEPS / training_key(facts)
    with locked(SWEEPS / "sweep"):
        write_results(arguments.table, space, [])  # now, if it cannot be
        resources = cluster.connect(arguments.cpus)
        trials = tuning.search(space, text, on, count, folder, resources, table=arguments.table, **options)
    if len(trials) < count:  # Ray has taken the signal
        raise KeyboardInterrupt
    report(arguments.table, space, trials)


def report(table: Path, space: Space, trials: Sequence[Trial]) -> None:
    """Print the winner, and the command that trains it in the pipeline.

    Raises:
        SurroundingsError: there is none.
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


if __name__ == "__main__":
    run("sweep", main)
