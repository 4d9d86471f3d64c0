"""How far one machine goes: `python -m benchmarks.scaling predict|ray|stopping`.

`predict` answers more and more pictures, `ray` compares a sweep with the same trainings in a row, `stopping`
a sweep with and without early stopping. What is compared runs by turns; prints a table.
"""

import argparse
import csv
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import yaml

from benchmarks.__main__ import PYTHON, ROOT, TRAIN, Table, run
from benchmarks.pictures import write_pictures
from smallvision.params import read_params

SWEEP = (PYTHON, "-m", "smallvision.sweep")


def make_project(folder: Path, **params: object) -> Path:
    """Clone the project, as it is committed, with these parameters and the drawn pictures split."""
    project = folder / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    content = read_params(ROOT / "params.yaml").model_dump(exclude_unset=True) | params
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run(("dvc", "repro", "split"), project)
    return project


def measure_predict(table: Table, folder: Path, counts: Sequence[int], rounds: int) -> None:
    """Pictures of 200x200, with the model of the workspace; the first count again beside each other one."""
    model = str(ROOT / "data/models/model.tflite")
    for count in counts:
        write_pictures(folder / str(count), {"test": count}, 200, 200)
    for count in counts[1:]:
        rates: dict[int, list[float]] = {counts[0]: [], count: []}
        for _ in range(rounds):
            for number, found in rates.items():
                command = (PYTHON, "-m", "smallvision.predict", "--model", model, "--parquet", "answers", str(number))
                finished = run(command, folder)
                found.append(number / finished.seconds)
                shutil.rmtree(folder / "answers")
        table.add(f"predict {count:,}", median(rates[count]), "pictures/s", f"{counts[0]:,}", median(rates[counts[0]]))
        table.add(f"peak memory, {count:,} pictures", finished.mebibytes, "MiB")


def measure_ray(table: Table, folder: Path, trials: int, rounds: int, **params: object) -> None:
    """The same trainings in a sweep, and one after the other as the train stage."""
    project = make_project(folder, **params)
    seeds = ",".join(map(str, range(1, trials + 1)))
    sweep, row = [], []
    for _ in range(rounds):
        sweep.append(run((*SWEEP, "-S", f"seed={seeds}", "--trials", str(trials), "--no-early-stopping"), project))
        shutil.rmtree(project / "data/sweeps")
        seconds = 0.0
        for seed in range(1, trials + 1):
            content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8")) | {"seed": seed}
            (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            command = [*TRAIN[:3], "data/pictures", "model.keras", "train.json", "history.csv"]
            seconds += run(command, project).seconds
        row.append(seconds)
    table.add(f"{trials} trainings", median(row), "s", "sweep", median(each.seconds for each in sweep), smaller=True)


def measure_stopping(table: Table, folder: Path, trials: int, **params: object) -> None:
    """The same random trials with and without early stopping: epochs, and the best accuracy."""
    project = make_project(folder, **params)
    space = ("-S", "lr=tag(log, interval(1e-5, 1e-2))", "-S", "batch_size=10,20,40")
    best, epochs = {}, {}
    for early in ("early", "no-early"):
        run((*SWEEP, *space, "--search", "random", "--trials", str(trials), f"--{early}-stopping"), project)
        with (project / "data/sweep.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        epochs[early] = sum(int(row["epochs"]) for row in rows)
        best[early] = max(float(row["val_acc"]) for row in rows if row["state"] == "finished")
    table.add(f"{trials} trials, early stopping", epochs["early"], "epochs", "all to the end", epochs["no-early"])
    table.add("their best accuracy", best["early"], "", "all to the end", best["no-early"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("predict", "ray", "stopping"))
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--counts", type=int, nargs="+", default=(1_000, 10_000, 100_000), help="of predict")
    parser.add_argument("--trials", type=int, help="default: 4 of ray, 18 of stopping")
    parser.add_argument("--epochs", type=int, default=27, help="of a training; default: %(default)s")
    parser.add_argument("--pictures", type=int, default=200, help="of each class, for training; default: %(default)s")
    arguments = parser.parse_args()
    count = arguments.pictures
    params = {
        "image_size": 64,
        "split": {"train": count, "validation": count, "test": 10},
        "recipes": {"baseline": {"epochs": arguments.epochs}},
    }
    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.part == "predict":
            measure_predict(table, folder, arguments.counts, arguments.rounds)
        elif arguments.part == "ray":
            measure_ray(table, folder, arguments.trials or 4, arguments.rounds, **params)
        else:
            measure_stopping(table, folder, arguments.trials or 18, **params)


if __name__ == "__main__":
    main()
