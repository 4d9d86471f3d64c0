"""The facts beside a model, and metrics that name a model, are read only if they belong to it."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from smallvision.core.errors import InputError
from smallvision.core.files import sha256_of
from smallvision.models.facts import ModelFacts, facts_path, read_facts, read_metrics, write_facts

FACTS = ModelFacts("r", "s", "p" * 64, ["cat", "dog"], 46, {"lr": 1e-4}, "w" * 64, "")


@pytest.fixture
def model(tmp_path):
    """A file in place of a model, because nothing here loads it, and the facts about it."""
    path = tmp_path / "model.keras"
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    write_facts(path, replace(FACTS, sha256=sha256_of(path)))
    return path


def test_what_is_written_is_read(model):
    facts = read_facts(model)
    assert facts == replace(FACTS, sha256=sha256_of(model))
    assert facts.ids == {"model": "w" * 12, "pictures": "p" * 12}


@pytest.mark.parametrize("missing", ["model.keras", "model.json"])
def test_a_missing_file_is_named(model, missing):
    model.with_name(missing).unlink()
    with pytest.raises(InputError, match=rf"{missing}: not found; `dvc repro train` makes it"):
        read_facts(model)


@pytest.mark.parametrize("harm", ["cut", "flipped", "other facts"])
def test_a_changed_model_is_refused(model, harm):
    data = bytearray(model.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    model.write_bytes(data[: len(data) // 2] if harm == "cut" else data)
    if harm == "other facts":
        path = facts_path(model)
        path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(InputError, match=r"not the model that .*\.json describes; `dvc repro -f train` makes both"):
        read_facts(model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"colour": "red"}, "colour: Unexpected"), ({"image_size": "46"}, "image_size: Input should be a valid integer")],
)
def test_facts_of_another_version_are_refused(model, change, reason):
    path = facts_path(model)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"model\.json: no card of a model \({reason}.*\); `dvc repro -f train`"):
        read_facts(model)


def test_a_pickle_is_never_loaded(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    for name in ("model.pkl", "model.h5"):
        (tmp_path / name).write_bytes(pickle.dumps(Harm()))
        with pytest.raises(InputError, match=r"expected a \.keras file; other formats can run code"):
            read_facts(tmp_path / name)
    assert not (tmp_path / "harmed").exists()


def test_metrics_are_read_with_the_facts_they_belong_to(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(FACTS.ids | {"val_acc": 0.5}))
    assert read_metrics(path, FACTS)["val_acc"] == 0.5
    with pytest.raises(InputError, match=r"train\.json: its model wwwwwwwwwwww is not the 0+ of the model"):
        read_metrics(path, replace(FACTS, weights="0" * 64))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "not found; `dvc repro` makes it"),
        ("{", "no metrics .*; `dvc repro -f` makes them"),
        ("[]", "names no model, as of a training that has not ended"),
        ("{}", "names no model, as of a training that has not ended"),
    ],
)
def test_what_are_no_metrics_is_named(tmp_path, text, reason):
    path = tmp_path / "train.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"train\.json: {reason}"):
        read_metrics(path, FACTS)
