"""Predictions, or features, of very many pictures as Parquet files, computed by this machine or a Ray cluster."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from smallvision.core import errors
from smallvision.core.errors import InputError, NetworkError, UserError
from smallvision.core.files import locked, replacing, write_json
from smallvision.models.facts import ModelFacts
from smallvision.models.litert import read_litert
from smallvision.serving.prediction import compute_outputs

PART = 5_000  # pictures in one file, which is what an interruption costs at most
STATE = "_state"  # programs that read a folder of Parquet files skip names that begin with an underscore


@dataclass(frozen=True)
class Job:
    """What all parts have in common.

    `project` is the folder that relative names start from, `model` the `.tflite` file, `litert` the hash of its
    network, and `folder` the place of the Parquet files.
    """

    project: Path
    model: Path
    litert: str | None
    folder: Path


class Part(TypedDict):
    """The pictures of one Parquet file. Ray sends dictionaries to its workers."""

    number: int
    names: Sequence[str]


Rows = Mapping[str, np.ndarray]  # the network's output for each picture that could be read


class Done(TypedDict):
    """How many pictures a part had, or the name of the error class that it ended with, and the message."""

    pictures: int
    kind: str
    message: str


def answer(part: Part, job: Job) -> Done:
    """Write the Parquet file of one part, on whichever machine this runs. It has one row for each picture, in order.

    The columns are `picture`; then `class`, its `probability` and `p_CLASS` for each class, or `features` if the
    network gives features; and `error`, the reason why a picture could not be read. The other columns are null there.

    Raises:
        InputError: the model is no longer the one that the job began with, or no picture of a whole part could be read.
        NetworkError: a picture could not be fetched. The next try may succeed.
    """
    os.chdir(job.project)
    network, facts = read_litert(job.model)
    if facts.litert != job.litert:
        raise InputError(f"{job.model}: is another model than the one that this began with")
    names = [str(name) for name in part["names"]]  # Ray makes an array of them
    bad: dict[str, UserError] = {}
    run = network.outputs if facts.features else network.probabilities
    rows = dict(compute_outputs(run, facts.image_size, names, lambda name, error: bad.update({name: error})))
    for name, error in bad.items():
        if isinstance(error, NetworkError):
            raise NetworkError(f"{name}: {error}; what was answered is kept, start this again")
        if len(bad) == PART:
            raise InputError(f"{name}: {error}; nor could the {PART - 1} after it be read; are they here?")
    columns = {"picture": pa.array([name.encode(errors="surrogateescape").decode(errors="replace") for name in names])}
    columns |= feature_columns(rows, names, facts) if facts.features else probability_columns(rows, names, facts)
    columns["error"] = pa.array([str(bad[name]) if name in bad else None for name in names], pa.string())
    file = name_of(part["number"])
    with replacing(job.folder / STATE / file) as path:
        pq.write_table(pa.table(columns), path)
    os.replace(job.folder / STATE / file, job.folder / file)
    return Done(pictures=len(names), kind="", message="")


def probability_columns(rows: Rows, names: Sequence[str], facts: ModelFacts) -> Mapping[str, pa.Array]:
    """Return the columns that say what each picture shows."""
    best = {name: int(row.argmax()) for name, row in rows.items()}
    return {
        "class": pa.array([facts.classes[best[name]] if name in rows else None for name in names], pa.string()),
        "probability": pa.array([rows[name][best[name]] if name in rows else None for name in names], pa.float32()),
    } | {
        f"p_{label}": pa.array([rows[name][index] if name in rows else None for name in names], pa.float32())
        for index, label in enumerate(facts.classes)
    }


def feature_columns(rows: Rows, names: Sequence[str], facts: ModelFacts) -> Mapping[str, pa.Array]:
    """Return the column of feature vectors."""
    return {"features": pa.array([rows.get(name) for name in names], pa.list_(pa.float32(), facts.features))}


def answer_or_say_why(part: Part, job: Job) -> Done:
    """Answer a part, and return an error that a user can act on. If it were raised, Ray would keep only its text."""
    try:
        return answer(part, job)
    except UserError as error:
        return Done(pictures=0, kind=type(error).__name__, message=str(error))


def name_of(number: int) -> str:
    """Return the file name of a part."""
    return f"part-{number:06}.parquet"


def predict_all(model: Path, names: Sequence[str], folder: Path) -> tuple[int, int]:
    """Answer all pictures, or those that an earlier, interrupted call has left.

    Args:
        model: the `.tflite` file that `train` or `export` wrote.
        names: files and addresses.
        folder: where the Parquet files go. On a cluster, this folder, the pictures and the model must have the same
            path on every machine.

    Returns:
        How many pictures there are, and how many of them could not be read.

    Raises:
        InputError: the folder holds answers of another model, or answers to other pictures.
    """
    _, facts = read_litert(model)
    job = Job(project=Path.cwd(), model=model, litert=facts.litert, folder=folder)
    digest = hashlib.sha256(json.dumps([str(job.project), *names]).encode()).hexdigest()
    about = {"model": facts.litert, "pictures": len(names), "names": digest, "part": PART}
    state = folder / STATE / "answers.json"
    with locked(state):
        if not state.exists():
            if any(folder.glob("*.parquet")):
                raise InputError(f"{folder}: holds Parquet files that are not ours; choose another folder")
            write_json(state, about)
        elif json.loads(state.read_text(encoding="utf-8")) != about:
            raise InputError(f"{folder}: holds answers of another model or to other pictures; choose another folder")
        parts = [
            Part(number=number, names=names[start : start + PART])
            for number, start in enumerate(range(0, len(names), PART))
            if not (folder / name_of(number)).exists()
        ]
        left = sum(len(part["names"]) for part in parts)
        with tqdm(total=len(names), initial=len(names) - left, unit="picture", disable=None) as bar:
            for done in _answers(parts, job):
                if done["kind"]:
                    raise getattr(errors, done["kind"])(done["message"])
                bar.update(done["pictures"])
    files = sorted(folder.glob("*.parquet"))
    return len(names), sum(len(pq.read_table(file, columns=["error"])["error"].drop_null()) for file in files)


def _answers(parts: Sequence[Part], job: Job) -> Iterator[Done]:
    """Answer the parts one after the other here, or on a cluster, where each machine works on one part at a time."""
    answer_one = partial(answer_or_say_why, job=job)
    if not (parts and os.environ.get("RAY_ADDRESS")):
        yield from map(answer_one, parts)
        return
    import ray.data

    from smallvision.scaling.cluster import connect

    resources = connect()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    todo = ray.data.from_items(list(parts), override_num_blocks=len(parts))
    yield from todo.map(answer_one, num_cpus=resources["cpu"]).iter_rows()
    ray.shutdown()
