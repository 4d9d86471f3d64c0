"""The trials of a sweep on Ray Tune, on this machine or a cluster."""

import json
import os
import shutil
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

from smallvision.errors import DivergedError, UserError
from smallvision.params import Params
from smallvision.space import Interval, Space, params_with
from smallvision.trials import DIVERGED, FAILED, FINISHED, HEADER, RUNNING, STOPPED, Trial, as_line, write_results

PICTURES = Path("data/pictures")
FIRST_RUNG, KEPT_SHARE = 12, 3  # percent of the epochs, and that one of so many goes on from there, and from 36
TRIES = 3  # of a trial whose process or machine ended


def search(space: Space, count: int, folder: Path, resources: Mapping[str, float], **options: Any) -> list[Trial]:
    """Run the trials, or those that an earlier call has left.

    Args:
        space: what is searched.
        count: how many trials.
        folder: where the state of the search and the trials are, on every machine of a cluster.
        resources: what a trial gets.
        options: `seed`, `method` (`optuna` or `random`), `early_stopping` and the `table` to write.
    """
    trainable = tune.with_resources(
        partial(run_trial, space=space, project=Path.cwd(), folder=folder, threads=int(resources["cpu"])), resources
    )
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints its own table
    print(HEADER, flush=True)
    if tune.Tuner.can_restore(str(folder / "ray")):
        tuner = tune.Tuner.restore(str(folder / "ray"), trainable, restart_errored=True)
        earlier = read_trials(space, tuner.get_results())
        print("\n".join(map(as_line, earlier)), flush=True)
    else:
        tuner = new_search(trainable, space, count, folder, **options)
    trials = read_trials(space, tuner.fit())
    ray.shutdown()
    return trials


def new_search(
    trainable: Any, space: Space, count: int, folder: Path, *, seed: int, method: str, early_stopping: bool, table: Path
) -> tune.Tuner:
    """Set up a search, whose first trial has the parameters of the moment where the space has them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    first = [space.drawn_before(params_with(space.fixed))]
    whole = space.combinations == count
    if whole:
        searcher: Any = BasicVariantGenerator()
    elif method == "random":
        searcher = BasicVariantGenerator(points_to_evaluate=first, random_state=seed)
    else:
        searcher = OptunaSearch(points_to_evaluate=first, seed=seed)
    from_zero = isinstance(searcher, BasicVariantGenerator)  # numbers its trials
    scheduler = (
        # 101, since at its last one it would end a trial before the model is written.
        ASHAScheduler(time_attr="progress", max_t=101, grace_period=FIRST_RUNG, reduction_factor=KEPT_SHARE)
        if early_stopping
        else FIFOScheduler()
    )
    return tune.Tuner(
        trainable,
        param_space={key: domain(found, whole) for key, found in space.free.items()},
        tune_config=tune.TuneConfig(
            metric="val_acc", mode="max", num_samples=1 if whole else count, search_alg=searcher, scheduler=scheduler,
            trial_dirname_creator=lambda trial: str(int(trial.experiment_tag.split('_')[0]) + from_zero),
        ),
        run_config=tune.RunConfig(
            name="ray", storage_path=str(folder), verbose=0, failure_config=tune.FailureConfig(max_failures=TRIES),
            callbacks=[Progress(space, count, folder, table)],
        ),
    )  # fmt: skip


def domain(found: Interval | tuple[str, ...], whole: bool) -> Any:
    """Put values into Ray's terms; `whole`: every combination is to be tried."""
    if not isinstance(found, Interval):
        return tune.grid_search(list(found)) if whole else tune.choice(found)
    if found.whole:
        return (tune.lograndint if found.log else tune.randint)(int(found.low), int(found.high) + 1)
    return (tune.loguniform if found.log else tune.uniform)(found.low, found.high)


def run_trial(drawn: Mapping[str, Any], *, space: Space, project: Path, folder: Path, threads: int) -> None:
    """Train as the train stage does, in a process of Ray's, and tell Ray of each epoch.

    What an earlier process of the same trial has done is not done again.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.chdir(project)
    from smallvision.fitting import History, find_best
    from smallvision.training import train

    params = params_with(space.settings(drawn))
    place = folder / Path(tune.get_context().get_trial_dir()).name
    model, metrics = place / "model.keras", place / "train.json"
    total = epochs_of(params)

    def tell(history: History) -> None:
        best = history[find_best(history) - 1]["val_acc"]
        tune.report({"val_acc": best, "epochs": len(history), "progress": 100 * len(history) / total})

    try:
        if not model.exists():
            train(params, PICTURES, model, metrics, place / "history.csv", tell)
    except UserError as error:
        # No accuracy; 0 for the search's sake. Not tried again: it would end the same way.
        kind = DIVERGED if isinstance(error, DivergedError) else FAILED
        tune.report({"val_acc": 0.0, "progress": 100, "epochs": 0, "state": kind, "reason": str(error)})
        return
    end = json.loads(metrics.read_text(encoding="utf-8"))
    tune.report({"val_acc": end["val_acc"], "epochs": end["epochs"], "progress": 100, "state": FINISHED})


def epochs_of(params: Params) -> int:
    """Return the epochs of a training, those of fine-tuning included."""
    recipe = params.recipes[params.recipe]
    return recipe.epochs + (recipe.finetune_epochs or 0)


class Progress(tune.Callback):  # type: ignore[misc]
    """Show each trial that ends as a line, and those that run in a bar; write the table and the plot."""

    def __init__(self, space: Space, count: int, folder: Path, table: Path) -> None:
        self.space, self.count, self.folder, self.table = space, count, folder, table
        self.bar: Any = None  # Ray saves this object, and a bar cannot be

    def setup(self, **_: Any) -> None:
        """Begin, or go on."""
        self.bar = tqdm(total=self.count, unit="trial", disable=None, leave=False)

    def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **_: Any) -> None:
        """Show how far the running trials are."""
        rows = self.rows(trials)
        self.bar.n = sum(row.state != RUNNING for row in rows)
        running = [row for row in rows if row.state == RUNNING and row.epochs]
        self.bar.set_postfix_str(", ".join(f"{row.number}: epoch {row.epochs}, {row.val_acc:.1%}" for row in running))

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
        """Show a trial that has ended, and write the results so far."""
        rows = self.rows(trials)
        tqdm.write(as_line(next(row for row in rows if row.number == number_of(trial.path))))
        # A trial that was stopped leaves its states.
        shutil.rmtree(self.folder / str(number_of(trial.path)) / "model-checkpoints", ignore_errors=True)
        write_results(self.table, self.space, rows)

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: Sequence[Any], **_: Any) -> None:
        """Take the bar away."""
        self.bar.close()

    def rows(self, trials: Sequence[Any]) -> list[Trial]:
        """Return all trials."""
        return [read_trial(self.space, t.path, t.config, t.last_result, t.get_error()) for t in trials]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"bar": None}


def read_trials(space: Space, results: tune.ResultGrid) -> list[Trial]:
    """Return the trials that have ended."""
    trials = [read_trial(space, r.path, r.config, r.metrics, r.error) for r in results if r.config or r.error]
    return sorted((trial for trial in trials if trial.state != RUNNING), key=lambda trial: trial.number)


def read_trial(
    space: Space, path: str, drawn: Mapping[str, Any] | None, result: Mapping[str, Any] | None, error: Exception | None
) -> Trial:
    """Read what Ray knows of a trial."""
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
    """Return the number of a trial, by which Ray is told to name its folder."""
    return int(Path(path).name)
