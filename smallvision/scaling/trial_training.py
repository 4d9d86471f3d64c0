"""The training of one trial, in a process that Ray starts."""

import csv
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ray import tune

from smallvision.core.errors import DivergedError, NetworkError, SurroundingsError, UserError
from smallvision.core.files import sha256_of, write_json
from smallvision.core.params import Params
from smallvision.scaling.search_space import Space, params_with
from smallvision.scaling.trial_table import DIVERGED, FAILED, FINISHED
from smallvision.training.checkpoints import training_key

PICTURES = Path("data/pictures")
LOGS = Path("data/tensorboard")


@dataclass(frozen=True)
class Sweep:
    """What all trials of a sweep have in common. Ray sends it to the process of each trial.

    Attributes:
        space: what is searched.
        params: the content of `params.yaml` when the sweep began, whatever becomes of the file meanwhile.
        basis: the `basis()` that every trial must find.
        count: how many trials there are.
        method: how values are drawn.
        early_stopping: whether poor trials are ended early.
        folder: where the state of the search and the trials are kept, at the same path on every machine of a cluster.
        table: the CSV file to write.
    """

    space: Space
    params: str
    basis: str
    count: int
    method: Literal["optuna", "random"]
    early_stopping: bool
    folder: Path
    table: Path


def basis() -> str:
    """Return a name for pictures and code. It must be the same for all trials, on every machine."""
    return training_key({"pictures": sha256_of(PICTURES / "manifest.json")})


def train_trial(drawn: Mapping[str, float | str], *, sweep: Sweep, project: Path, threads: int) -> None:
    """Train as the train stage does, and report each epoch to Ray.

    If an earlier process has trained part of this trial, its epochs are not trained again. They are reported again,
    because the scheduler has forgotten them.

    Args:
        drawn: the values that the search has drawn.
        sweep: what all trials have in common.
        project: the folder of the project.
        threads: how many threads TensorFlow may use for one operation.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.chdir(project)
    from smallvision.training.history import History, find_best
    from smallvision.training.run import Outputs, train

    settings = sweep.space.settings(drawn)
    place = sweep.folder / Path(tune.get_context().get_trial_dir()).name
    reported = 0

    def report(history: History) -> None:
        nonlocal reported
        # The last epoch is reported after the model was written, because the scheduler may end a trial at any report.
        for end in range(reported + 1, min(len(history), total - 1) + 1):
            best = history[find_best(history[:end]) - 1]["val_acc"]
            tune.report({"val_acc": best, "epochs": end, "progress": 100 * end / total})
        reported = len(history)

    try:
        if basis() != sweep.basis:
            raise SurroundingsError("pictures or code are not those that the sweep began with; start it again")
        params = params_with(settings, sweep.params)
        total = count_epochs(params)
        clear_others(place, settings)
        metrics = place / "train.json"
        if not (place / "model.tflite").exists():  # it is the last file that a training writes
            train(params, PICTURES, Outputs(place, metrics, place, LOGS), report)
        report(read_history(place / "history.csv"))
    except (SurroundingsError, NetworkError):
        raise  # Ray tries the trial again, and so does the same sweep when it is started again
    except UserError as error:
        # The trial is not tried again, because it would end the same way. It has no accuracy; the search is told 0.
        kind = DIVERGED if isinstance(error, DivergedError) else FAILED
        tune.report({"val_acc": 0.0, "progress": 100, "epochs": reported, "state": kind, "reason": str(error)})
        return
    end = json.loads(metrics.read_text(encoding="utf-8"))
    tune.report({"val_acc": end["val_acc"], "epochs": end["epochs"], "progress": 100, "state": FINISHED})


def clear_others(place: Path, settings: Mapping[str, str]) -> None:
    """Delete what a trial with other settings has left: a search that was killed may forget what it drew last."""
    about = place / "settings.json"
    if place.exists() and not (about.exists() and json.loads(about.read_text(encoding="utf-8")) == settings):
        shutil.rmtree(place)
    write_json(about, settings)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the epochs of a training from the file that it wrote."""
    with path.open(encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def count_epochs(params: Params) -> int:
    """Return the number of epochs of a training, with those of fine-tuning."""
    recipe = params.recipes[params.recipe]
    return (recipe.epochs or 1) + (recipe.finetune_epochs or 0)
