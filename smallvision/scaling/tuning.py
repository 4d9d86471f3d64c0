"""The search of a sweep with Ray Tune, on this machine or a cluster."""

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.optuna import OptunaSearch
from tqdm import tqdm

from smallvision.core.errors import SurroundingsError
from smallvision.scaling.search_space import Choices, Interval, Space, params_with
from smallvision.scaling.trial_table import (
    DIVERGED,
    FAILED,
    HEADER,
    RUNNING,
    STOPPED,
    Trial,
    format_trial,
    write_results,
)
from smallvision.scaling.trial_training import Sweep, train_trial

# A trial is judged after 12% of its epochs, again after 36%, and so on. Each time the best third goes on.
FIRST_RUNG, REDUCTION = 12, 3
TRIES = 3  # how often a trial is tried again if its process or its machine ends


def search(sweep: Sweep, resources: Mapping[str, float]) -> list[Trial]:
    """Run the trials, or those that an earlier call has left.

    Args:
        sweep: what to search, and how.
        resources: what a trial gets of a machine, as `cluster.connect` returns it.

    Raises:
        SurroundingsError: the state that an earlier call has left cannot be read.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Ray's new output would print a table of its own
    trainable = tune.with_resources(
        partial(train_trial, sweep=sweep, project=Path.cwd(), threads=int(resources["cpu"])), dict(resources)
    )
    # Optuna hears of the same epochs again when a trial goes on.
    warnings.filterwarnings("ignore", "The reported value is ignored", UserWarning)
    print(HEADER, flush=True)
    state = sweep.folder / "ray"
    if any(state.glob("experiment_state-*.json")):
        try:
            tuner = tune.Tuner.restore(str(state), trainable, resume_errored=True)
            earlier = read_trials(sweep.space, tuner.get_results())
        except (RuntimeError, ValueError) as error:  # Ray was killed while it wrote the state
            raise SurroundingsError(
                f"{sweep.folder}: cannot be read: {str(error).splitlines()[0]}; delete it to begin anew"
            ) from None
        write_results(sweep.table, sweep.space, earlier)
        print("".join(f"{format_trial(trial)}\n" for trial in earlier), end="", flush=True)
    else:
        tuner = new_search(sweep, trainable)
    trials = read_trials(sweep.space, tuner.fit())
    ray.shutdown()
    return trials


def new_search(sweep: Sweep, trainable: Any) -> tune.Tuner:
    """Set up a search. Its first trial has the values of `params.yaml` if they lie in the space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    params = params_with(sweep.space.fixed, sweep.params)
    point = sweep.space.point_of(params)
    first = [point] if point else None
    all_combinations = sweep.space.combinations == sweep.count
    if all_combinations:
        searcher: Any = BasicVariantGenerator()
    elif sweep.method == "random":
        searcher = BasicVariantGenerator(points_to_evaluate=first, random_state=params.seed)
    else:
        searcher = OptunaSearch(points_to_evaluate=first, seed=params.seed)
    numbers_from_zero = isinstance(searcher, BasicVariantGenerator)
    scheduler = (
        # 101 and not 100, because at its last step the scheduler would end a trial before the model is written.
        ASHAScheduler(time_attr="progress", max_t=101, grace_period=FIRST_RUNG, reduction_factor=REDUCTION)
        if sweep.early_stopping
        else FIFOScheduler()
    )
    return tune.Tuner(
        trainable,
        param_space={key: domain(found, all_combinations) for key, found in sweep.space.free.items()},
        tune_config=tune.TuneConfig(
            metric="val_acc", mode="max", num_samples=1 if all_combinations else sweep.count, search_alg=searcher,
            scheduler=scheduler,
            trial_dirname_creator=lambda trial: str(int(trial.experiment_tag.split('_')[0]) + numbers_from_zero),
        ),
        run_config=tune.RunConfig(
            name="ray", storage_path=str(sweep.folder), verbose=0,
            failure_config=tune.FailureConfig(max_failures=TRIES), callbacks=[Progress(sweep)],
        ),
    )  # fmt: skip


def domain(found: Interval | Choices, all_combinations: bool) -> Any:
    """Return the values of a parameter in Ray's terms."""
    if not isinstance(found, Interval):
        return tune.grid_search(list(found)) if all_combinations else tune.choice(found)
    if found.whole:
        return (tune.lograndint if found.log else tune.randint)(int(found.low), int(found.high) + 1)
    return (tune.loguniform if found.log else tune.uniform)(found.low, found.high)


class Progress(tune.Callback):  # type: ignore[misc]
    """Print a line for each trial that ends, show the running ones in a bar, and write the table and the plot."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.bar: Any = None  # Ray pickles this object, and a bar cannot be pickled

    def setup(self, **_: object) -> None:
        """Show the bar, at the start and when the search goes on."""
        self.bar = tqdm(total=self.sweep.count, unit="trial", disable=None, leave=False)

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **_: object) -> None:
        """Show how far the running trials are."""
        rows = self.rows(trials)
        self.bar.n = sum(row.state != RUNNING for row in rows)
        running = [row for row in rows if row.state == RUNNING and row.epochs]
        self.bar.set_postfix_str(", ".join(f"{row.number}: epoch {row.epochs}, {row.val_acc:.1%}" for row in running))

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: object) -> None:
        """Print a trial that has ended, and delete the checkpoints of one that was stopped, which nobody needs."""
        self.on_trial_error(iteration, trials, trial, **info)
        shutil.rmtree(self.sweep.folder / str(number_of(trial.path)) / "model-checkpoints", ignore_errors=True)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: object) -> None:
        """Print a trial that failed in every try. The same sweep, started again, tries it once more."""
        rows = self.rows(trials)
        write_results(self.sweep.table, self.sweep.space, rows)  # who reads the line finds the trial in the table
        tqdm.write(format_trial(next(row for row in rows if row.number == number_of(trial.path))))

    def on_experiment_end(self, trials: Sequence[Any], **_: object) -> None:
        """Take the bar away."""
        self.bar.close()

    def rows(self, trials: Sequence[Any]) -> list[Trial]:
        """Return all trials as rows of the table."""
        return [
            # Ray keeps the error of an earlier try while a later one is running.
            read_trial(
                self.sweep.space, t.path, t.config, t.last_result, t.get_error() if t.status == "ERROR" else None
            )
            for t in trials
        ]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"bar": None}


def read_trials(space: Space, results: tune.ResultGrid) -> list[Trial]:
    """Return the trials that have ended, by number."""
    trials = [read_trial(space, r.path, r.config, r.metrics, r.error) for r in results if r.config or r.error]
    return sorted((trial for trial in trials if trial.state != RUNNING), key=lambda trial: trial.number)


def read_trial(
    space: Space, path: str, drawn: Mapping[str, Any] | None, result: Mapping[str, Any] | None, error: Exception | None
) -> Trial:
    """Turn what Ray knows of a trial into a row of the table."""
    result = result or {}
    state = result.get("state") or (FAILED if error else STOPPED if result.get("done") else RUNNING)
    reason = result.get("reason") or (str(error).strip().splitlines()[-1] if error else "")
    good = state not in (FAILED, DIVERGED)
    return Trial(
        number_of(path),
        state,
        space.settings(drawn) if drawn else {},
        result.get("epochs", 0),
        result.get("val_acc") if good else None,
        result.get("time_total_s", 0.0),
        result.get("node_ip", ""),
        reason,
    )


def number_of(path: str) -> int:
    """Return the number of a trial from the name of its folder, which `new_search` makes Ray choose."""
    return int(Path(path).name)
