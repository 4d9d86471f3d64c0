"""How far one machine goes: `python -m benchmarks.scaling predict|nodes|classes|ray|stopping`.

`predict` answers more and more pictures, and `nodes` does so on a Ray cluster of one and of two nodes. `classes` trains
on the same number of pictures of more and more classes. `ray` compares a sweep with the same trainings in a row, and
`stopping` compares sweeps with and without early stopping. Contenders run by turns. Prints a table.
"""

import argparse
import csv
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import yaml

from benchmarks.pictures import write_pictures
from benchmarks.processes import PYTHON, ROOT, TRAIN, Table, run
from smallvision.core.params_file import read_params
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.drawn import DRAWN, draw_archive, draw_picture
from tests.cluster import cluster

SWEEP = (PYTHON, "-m", "smallvision", "sweep")


def make_project(folder: Path, until: str = "split", **params: object) -> Path:
    """Clone the project as it is committed, with these parameters, and run the first stages."""
    project = folder / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    content = read_params(ROOT / "params.yaml").model_dump(exclude_unset=True) | params
    if content["source"] == "drawn":  # `split` takes the first pictures of each class, so no more than those are drawn
        count = sum(content["split"][subset] for subset in SUBSETS)
        draw_archive(folder / "pictures.zip", dict.fromkeys(DRAWN, count))
        content["source"] = str(folder / "pictures.zip")
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run(("dvc", "repro", until), project)
    return project


def predict_command(model: Path, pictures: str) -> tuple[str, ...]:
    """Return the command that answers the pictures of a folder."""
    return (PYTHON, "-m", "smallvision", "predict", "--model", str(model), "--parquet", "answers", pictures)


def measure_predict(table: Table, folder: Path, model: Path, counts: Sequence[int], rounds: int) -> None:
    """Answer pictures of 200x200. The first count is measured again beside each of the others."""
    for count in counts:
        write_pictures(folder / str(count), {"test": count}, 200, 200)
    for count in counts[1:]:
        rates: dict[int, list[float]] = {counts[0]: [], count: []}
        for _ in range(rounds):
            for number, found in rates.items():
                finished = run(predict_command(model, str(number)), folder)
                found.append(number / finished.seconds)
                shutil.rmtree(folder / "answers")
        table.add(f"predict {count:,}", median(rates[count]), "pictures/s", f"{counts[0]:,}", median(rates[counts[0]]))
        table.add(f"peak memory, {count:,} pictures", finished.mebibytes, "MiB")


def measure_nodes(table: Table, folder: Path, model: Path, count: int, rounds: int) -> None:
    """Answer pictures of 200x200 on one node and on two nodes, each of which has one core."""
    write_pictures(folder / "many", {"test": count}, 200, 200)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for nodes, found in seconds.items():
            with cluster(nodes, pinned=True) as made:
                settings = [f"{name}={value}" for name, value in made.environment.items()]
                found.append(run([*made.inside, "env", *settings, *predict_command(model, "many")], folder).seconds)
            shutil.rmtree(folder / "answers")
    one, two = (count / median(found) for found in seconds.values())
    table.add(f"{count:,} pictures, two nodes", two, "pictures/s", "one node", one)


def measure_classes(table: Table, folder: Path, counts: Sequence[int], pictures: int) -> None:
    """Run the whole pipeline, with one epoch, on the same number of pictures of ever more classes.

    Half of the pictures are for training.
    """
    for count in counts:
        source = folder / f"{count} classes"
        for index in range(count):
            (source / f"{index:04}").mkdir(parents=True)
            for number in range(pictures // count):
                picture = draw_picture("cat", np.random.default_rng([index, number])).resize((200, 200))
                picture.save(source / f"{index:04}" / f"{number}.jpg", quality=85)
        project = make_project(
            folder / f"project of {count}", until="fetch", source=str(source), recipes={"baseline": {"epochs": 1}},
            split={"train": 0.5, "validation": 0.25, "test": 0.25, "max_rejected": 1},
        )  # fmt: skip
        for stage in ("split", "train", "evaluate"):
            finished = run(("dvc", "repro", "--single-item", stage), project)
            table.add(f"{count:,} classes, {stage}", finished.seconds, "s")
        written = [path for path in (project / "metrics").rglob("*") if path.is_file()]
        table.add(f"{count:,} classes, metrics and plots", sum(p.stat().st_size for p in written) / 2**20, "MiB")


def measure_ray(table: Table, folder: Path, trials: int, rounds: int, **params: object) -> None:
    """Run the same trainings in a sweep, and one after the other as the train stage."""
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
            seconds += run([*TRAIN[:3], "data/pictures", *TRAIN[4:]], project).seconds
        row.append(seconds)
    table.add(f"{trials} trainings", median(row), "s", "sweep", median(each.seconds for each in sweep), smaller=True)


def measure_stopping(table: Table, folder: Path, trials: int, **params: object) -> None:
    """Run the same random trials with and without early stopping, and compare epochs and the best accuracy."""
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
    parser.add_argument("part", choices=("predict", "nodes", "classes", "ray", "stopping"))
    parser.add_argument("--model", type=Path, default=ROOT / "data/models/model.tflite", help="of predict and nodes")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--counts", type=int, nargs="+", help="how many pictures (of nodes, one count) or classes")
    parser.add_argument("--trials", type=int, help="default: 4 of ray, 18 of stopping")
    parser.add_argument("--epochs", type=int, default=27, help="of a training; default: %(default)s")
    parser.add_argument("--pictures", type=int, help="for training, of each class: 200; of classes, in all: 4,000")
    arguments = parser.parse_args()
    count = arguments.pictures or 200
    params = {
        "image_size": 64,
        "split": {"train": count, "validation": count, "test": 10},
        "recipes": {"baseline": {"epochs": arguments.epochs}},
    }
    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = arguments.model.resolve()
        if arguments.part == "predict":
            measure_predict(table, folder, model, arguments.counts or (1_000, 10_000, 100_000), arguments.rounds)
        elif arguments.part == "nodes":
            measure_nodes(table, folder, model, (arguments.counts or (40_000,))[0], arguments.rounds)
        elif arguments.part == "classes":
            measure_classes(table, folder, arguments.counts or (2, 20, 200, 1000), arguments.pictures or 4_000)
        elif arguments.part == "ray":
            measure_ray(table, folder, arguments.trials or 4, arguments.rounds, **params)
        else:
            measure_stopping(table, folder, arguments.trials or 18, **params)


if __name__ == "__main__":
    main()
