"""Answers to very many pictures, or features, in Parquet files, part by part, by this machine or a Ray cluster."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from smallvision.core import errors
from smallvision.core.errors import InputError, NetworkError, UserError
from smallvision.core.files import locked, replacing, write_json
from smallvision.models.keras_file import Card
from smallvision.models.litert import read_litert
from smallvision.serving.prediction import compute

PART = 5_000  # pictures of a file; an interruption costs at most so many
STATE = "_state"  # a folder's readers pass over names that begin so


class Part(TypedDict):
    """Some of the pictures."""

    number: int
    names: Sequence[str]


Rows = Mapping[str, np.ndarray]  # what the network says of each picture that can be read


class Done(TypedDict):
    """How many pictures a part had, or the kind of error that it ended with, and its message."""

    pictures: int
    kind: str
    message: str


def answer(part: Part, *, project: Path, model: Path, litert: str, folder: Path) -> Done:
    """Answer a part's pictures, on whichever machine, and write its file, which holds a row a picture, in order.

    `picture`; `class` and its `probability` and one column `p_CLASS` for each class, or of a network that gives them
    `features`; and `error`: the reason why a picture could not be read, whose other columns are null.

    Raises:
        InputError: the model is not `litert` any more, or no picture of a whole part could be read.
        NetworkError: a picture could not be fetched, which may be otherwise next time.
    """
    os.chdir(project)
    network, card = read_litert(model)
    if card.litert != litert:
        raise InputError(f"{model}: is another model than the one that this began with")
    names = [str(name) for name in part["names"]]  # an array of Ray's
    bad: dict[str, UserError] = {}
    run = network.outputs if card.features else network.probabilities
    rows = dict(compute(run, card.image_size, names, lambda name, error: bad.update({name: error})))
    for name, error in bad.items():
        if isinstance(error, NetworkError):
            raise NetworkError(f"{name}: {error}; what was answered is kept, start this again")
        if len(bad) == PART:
            raise InputError(f"{name}: {error}; nor could the {PART - 1} after it be read; are they here?")
    columns = {"picture": pa.array([name.encode(errors="surrogateescape").decode(errors="replace") for name in names])}
    columns |= features_of(rows, names, card) if card.features else probabilities_of(rows, names, card)
    columns["error"] = pa.array([str(bad[name]) if name in bad else None for name in names], pa.string())
    name = name_of(part["number"])
    with replacing(folder / STATE / name) as path:
        pq.write_table(pa.table(columns), path)
    os.replace(folder / STATE / name, folder / name)
    return Done(pictures=len(names), kind="", message="")


def probabilities_of(rows: Rows, names: Sequence[str], card: Card) -> Mapping[str, pa.Array]:
    """Return the columns that say what each picture shows."""
    best = {name: int(row.argmax()) for name, row in rows.items()}
    return {
        "class": pa.array([card.classes[best[name]] if name in rows else None for name in names], pa.string()),
        "probability": pa.array([rows[name][best[name]] if name in rows else None for name in names], pa.float32()),
    } | {
        f"p_{label}": pa.array([rows[name][index] if name in rows else None for name in names], pa.float32())
        for index, label in enumerate(card.classes)
    }


def features_of(rows: Rows, names: Sequence[str], card: Card) -> Mapping[str, pa.Array]:
    """Return the column of vectors."""
    return {"features": pa.array([rows.get(name) for name in names], pa.list_(pa.float32(), card.features))}


def answer_or_say_why(part: Part, **options: Any) -> Done:
    """Answer a part; return the error that a user can do something about, of which Ray would keep the text alone."""
    try:
        return answer(part, **options)
    except UserError as error:
        return Done(pictures=0, kind=type(error).__name__, message=str(error))


def name_of(number: int) -> str:
    """Return the name of a part's file."""
    return f"part-{number:06}.parquet"


def predict_all(model: Path, names: Sequence[str], folder: Path) -> tuple[int, int]:
    """Answer all pictures, or those that an earlier, interrupted call has left.

    Args:
        model: what `train` converted for LiteRT.
        names: files and addresses.
        folder: where the answers go; on a cluster it, the pictures and the model are at the same path everywhere.

    Returns:
        How many pictures there are, and how many could not be read.

    Raises:
        InputError: the folder holds answers of another model, or to other pictures.
    """
    _, card = read_litert(model)
    digest = hashlib.sha256(json.dumps([str(Path.cwd()), *names]).encode()).hexdigest()
    about = {"model": card.litert, "pictures": len(names), "names": digest, "part": PART}
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
            for done in _answers(parts, project=Path.cwd(), model=model, litert=card.litert, folder=folder):
                if done["kind"]:
                    raise getattr(errors, done["kind"])(done["message"])
                bar.update(done["pictures"])
    files = sorted(folder.glob("*.parquet"))
    return len(names), sum(len(pq.read_table(file, columns=["error"])["error"].drop_null()) for file in files)


def _answers(parts: Sequence[Part], **options: Any) -> Iterator[Done]:
    """Answer the parts one after the other, or share them out to the machines of a cluster, one at a time to each."""
    answer_one = partial(answer_or_say_why, **options)
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
