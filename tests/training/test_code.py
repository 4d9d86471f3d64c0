"""An edit of code that a stage uses makes its kept results unusable, an edit of other code does not."""

import shutil
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest

from smallvision.training import code, features
from smallvision.training.checkpoints import Checkpoints, training_key
from smallvision.training.fitting import fit
from smallvision.training.hooks import Hooks
from tests.conftest import ROOT
from tests.training.helpers import TRAIN, VALIDATION, build_tiny, end_after, make_base, make_plan

OTHERS = ["smallvision/commands/demo.py", "smallvision/serving/formats.py", "smallvision/data/sources/url.py"]
USED = ["smallvision/training/fitting.py", "smallvision/core/params.py", "stages/train.py"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A copy of the project's code that a test may edit."""
    for name in ("smallvision", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def edit(path):
    path.write_text(path.read_text(encoding="utf-8") + "# an edit\n", encoding="utf-8")


def test_the_code_of_a_stage_is_what_dvc_yaml_names():
    assert code.code_paths("fetch") == ["stages/fetch.py", "smallvision/core", "smallvision/data/sources"]
    assert not [path for path in code.code_paths("evaluate") if path.startswith(("data", "metrics"))]


@pytest.mark.parametrize("name", [*OTHERS, "smallvision/commands/__pycache__/x.py"])
def test_other_code_does_not_count(project, name):
    before = code.code_of("train")
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).touch()
    edit(project / name)
    (project / "smallvision/training/fitting.py").touch()
    assert code.code_of("train") == before


@pytest.mark.parametrize("name", [*USED, "smallvision/training/a_new_file.py"])
def test_used_code_counts(project, name):
    before = code.code_of("train")
    (project / name).touch()
    edit(project / name)
    assert code.code_of("train") != before


def test_a_file_that_moves_counts(project):
    before = code.code_of("train")
    (project / "smallvision/training/hooks.py").rename(project / "smallvision/training/zz.py")
    assert code.code_of("train") != before


def train_in(folder):
    """Train with checkpoints where the train stage keeps them."""
    key = training_key({"pictures": "ab"})
    return fit(partial(build_tiny, 2), TRAIN, VALIDATION, make_plan(epochs=2), Hooks(Checkpoints(folder / key)))


@pytest.mark.parametrize(("name", "kept"), [("commands/demo.py", True), ("training/fitting.py", False)])
def test_a_trainings_states_keep_their_name_while_its_code_is_the_same(project, name, kept):
    before = training_key({"pictures": "ab"})
    edit(project / "smallvision" / name)
    assert (training_key({"pictures": "ab"}) == before) is kept


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kept"), [("commands/demo.py", True), ("training/fitting.py", False)])
def test_a_half_done_training_is_kept_while_its_code_is(project, capsys, name, kept):
    end_after(1, partial(train_in, project / "checkpoints"))
    edit(project / "smallvision" / name)
    capsys.readouterr()
    train_in(project / "checkpoints")
    assert ("going on after epoch 1 of 2" in capsys.readouterr().out) is kept


@pytest.mark.parametrize(("name", "kept"), [("commands/demo.py", True), ("training/fitting.py", False)])
def test_features_are_kept_while_their_code_is(project, monkeypatch, name, kept):
    base, compute = make_base(), Mock(return_value=np.zeros((24, 8), np.float32))
    monkeypatch.setattr(features, "_convert", Mock(return_value=b"a network"))
    monkeypatch.setattr(features, "Network", Mock(return_value=Mock(outputs=compute)))
    features.compute_features(base, TRAIN[0], "pictures")
    edit(project / "smallvision" / name)
    assert np.array_equal(features.compute_features(base, TRAIN[0], "pictures"), np.zeros((24, 8)))
    assert compute.call_count == features._convert.call_count == (1 if kept else 2)
