"""The trials of a sweep on Ray Tune, on this machine or a cluster."""

import csv
import json
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

from smallvision.core.errors import DivergedError, NetworkError, SurroundingsError, UserError
from smallvision.core.files import sha256_of, write_json
from smallvision.core.params import Params
from smallvision.scaling.search_space import Interval, Space, params_with
from smallvision.scaling.trial_table import (
    DIVERGED,
    FAILED,
    FINISHED,
    HEADER,
    RUNNING,
    STOPPED,
    Trial,
    as_line,
    write_results,
)
from smallvision.training.checkpoints import training_key

PICTURES = Path("data/pictures")
FIRST_RUNG, KEPT_SHARE = 12, 3  # percent of the epochs, and that one of so many goes on from there, and from 36
TRIES = 3  # of a trial whose process or machine ended


def basis() -> str:
    """Return a name for the pictures and the code, which must be the same for all trials, on every machine."""
    return training_key({"pictures": sha256_of(PICTURES / "manifest.json")})


def search(
    space: Space, text: str, on: str, count: int, folder: Path, resources: Mapping[str, float], **options: Any
) -> list[Trial]:
    """Run the trials, or those that an earlier call has left.

    Args:
        space: what is searched.
        text: the content of `params.yaml`, whatever becomes of it meanwhile.
        on: the `basis` that all trials must find.
        count: how many trials.
        folder: where the state of the search and the trials are, on every machine of a cluster.
        resources: what a trial gets.
        options: `method` (`optuna` or `random`), `early_stopping` and the `table` to write.

    Raises:
        SurroundingsError: the state that an earlier call has left cannot be read.
    """
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one prints its own table
    trainable = tune.with_resources(
        partial(
            run_trial, space=space, text=text, on=on, project=Path.cwd(), folder=folder,
            threads=int(resources["cpu"]),
        ),
        dict(resources),
    )  # fmt: skip
    # Optuna is told of epochs once more where a trial goes on.
    warnings.filterwarnings("ignore", "The reported value is ignored", UserWarning)
    print(HEADER, flush=True)
    state = folder / "ray"
    if any(state.glob("experiment_state-*.json")):
        try:
            tuner = tune.Tuner.restore(str(state), trainable, resume_errored=True)
            earlier = read_trials(space, tuner.get_results())
        except (RuntimeError, ValueError) as error:  # it was killed while it wrote
            raise SurroundingsError(
                f"{folder}: cannot be read: {str(error).splitlines()[0]}; delete it to begin anew"
            ) from None
        write_results(options["table"], space, earlier)
        print("".join(f"{as_line(trial)}\n" for trial in earlier), end="", flush=True)
    else:
        tuner = new_search(trainable, space, text, count, folder, **options)
    trials = read_trials(space, tuner.fit())
    ray.shutdown()
    return trials


def new_search(
    trainable: Any, space: Space, text: str, count: int, folder: Path, *, method: str, early_stopping: bool, table: Path
) -> tune.Tuner:
    """Set up a search, whose first trial has the values of `params.yaml` if they lie in the space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    params = params_with(space.fixed, text)
    point = space.point_of(params)
    first = [point] if point else None
    whole = space.combinations == count
    if whole:
        searcher: Any = BasicVariantGenerator()
    elif method == "random":
        searcher = BasicVariantGenerator(points_to_evaluate=first, random_state=params.seed)
    else:
        searcher = OptunaSearch(points_to_evaluate=first, seed=params.seed)
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


def run_trial(
    drawn: Mapping[str, Any], *, space: Space, text: str, on: str, project: Path, folder: Path, threads: int
) -> None:
    """Train as the train stage does, in a process of Ray's, and tell Ray of each epoch.

    What an earlier process of the same trial has done is not done again, but told again, as
    the scheduler has forgotten it.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.chdir(project)
    from smallvision.training.fitting import History, find_best
    from smallvision.training.run import train

    settings = space.settings(drawn)
    place = folder / Path(tune.get_context().get_trial_dir()).name
    told = 0

    def tell(history: History) -> None:
        nonlocal told
        # The last one only when the model is there: the scheduler may end a trial whenever it is told something.
        for end in range(told + 1, min(len(history), total - 1) + 1):
            best = history[find_best(history[:end]) - 1]["val_acc"]
            tune.report({"val_acc": best, "epochs": end, "progress": 100 * end / total})
        told = len(history)

    try:
        if basis() != on:
            raise SurroundingsError("pictures or code are not those that the sweep began with; start it again")
        params = params_with(settings, text)
        total = epochs_of(params)
        clear_others(place, settings)
        model, metrics, rows = place / "model.keras", place / "train.json", place / "history.csv"
        if not model.with_suffix(".tflite").exists():  # which is written last
            train(params, PICTURES, model, metrics, rows, tell)
        tell(read_history(rows))
    except (SurroundingsError, NetworkError):
        raise  # Ray tries again, and a later call of the same sweep
    except UserError as error:
        # No accuracy; 0 for the search's sake. Not tried again: it would end the same way.
        kind = DIVERGED if isinstance(error, DivergedError) else FAILED
        tune.report({"val_acc": 0.0, "progress": 100, "epochs": told, "state": kind, "reason": str(error)})
        return
    end = json.loads(metrics.read_text(encoding="utf-8"))
    tune.report({"val_acc": end["val_acc"], "epochs": end["epochs"], "progress": 100, "state": FINISHED})


def clear_others(place: Path, settings: Mapping[str, str]) -> None:
    """Delete what another trial has left: a search that was killed may have forgotten what it drew last."""
    about = place / "settings.json"
    if place.exists() and not (about.exists() and json.loads(about.read_text(encoding="utf-8")) == settings):
        shutil.rmtree(place)
    write_json(about, settings)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read what `train` wrote of its epochs."""
    with path.open(encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


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

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        """Show a trial that has ended; one that was stopped leaves states, which are of no use."""
        self.on_trial_error(iteration, trials, trial, **info)
        shutil.rmtree(self.folder / str(number_of(trial.path)) / "model-checkpoints", ignore_errors=True)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
        """Show a trial that was tried often enough; the same sweep, called again, tries it once more."""
        rows = self.rows(trials)
        tqdm.write(as_line(next(row for row in rows if row.number == number_of(trial.path))))
        write_results(self.table, self.space, rows)

    def on_experiment_end(self, trials: Sequence[Any], **_: Any) -> None:
        """Take the bar away."""
        self.bar.close()

    def rows(self, trials: Sequence[Any]) -> list[Trial]:
        """Return all trials."""
        return [
            # An error stays where a later try is going on.
            read_trial(self.space, t.path, t.config, t.last_result, t.get_error() if t.status == "ERROR" else None)
            for t in trials
        ]

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
