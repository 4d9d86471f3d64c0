"""`smallvision predict --parquet`: very many pictures, in parts, here and on a cluster."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import keras
import numpy as np
import pytest
from PIL import Image

from smallvision.data.pictures.decoding import to_input
from smallvision.models.facts import read_facts
from smallvision.serving.formats import export
from tests.cluster import cluster
from tests.conftest import ROOT, Project, assert_one_line, jpeg
from tests.networks import write_three_classes
from tests.scaling.test_sweep import needs_network, needs_ray

PREDICT = "smallvision.commands.predict"
needs_pyarrow = pytest.mark.skipif(
    not importlib.util.find_spec("pyarrow"), reason="PyArrow is missing: `make setup-sweep` installs it"
)
pytestmark = pytest.mark.slow

# Runs the command with parts of four pictures. Tests put lines before it that change more.
SMALL_PARTS = """
import sys
from smallvision.commands import predict
from smallvision.core.process import run
from smallvision.scaling import bulk
bulk.PART = 4
run("predict", lambda: predict.main(sys.argv[1:]))
"""
SLOW_WRITES = """
import time
from smallvision.scaling import bulk
write = bulk.pq.write_table
bulk.pq.write_table = lambda *a: (write(*a), time.sleep(0.5))
"""
ON_A_CLUSTER = """
from smallvision.scaling import bulk
bulk.map = None  # it is what would answer on this machine
"""
# Changes the record of the run as if it had begun with another model.
OTHER_MODEL = """
import dataclasses, json, pathlib
from smallvision.models import litert
def other_model(path):
    network, facts = litert.read_litert(path)
    state = pathlib.Path("out/_state/answers.json")
    state.write_text(json.dumps(json.loads(state.read_text()) | {"model": "other"}))
    return network, dataclasses.replace(facts, litert="other")
bulk.read_litert = other_model
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network of three classes in LiteRT's format, and its Keras twin."""
    return write_three_classes(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def pictures(project: Project):
    """Eighteen pictures, of which three cannot be read."""
    folder = project.folder / "many"
    folder.mkdir()
    for number in range(18):
        (folder / f"{number}.jpg").write_bytes(jpeg(number) if number % 7 != 3 else b"no picture")
    (folder / "17.jpg").unlink()
    (folder / "17.jpg").symlink_to("nowhere")
    return folder


@pytest.fixture
def options(classifier, pictures) -> list[str]:
    return ["--model", str(classifier[1]), "--parquet", "out", "many"]


@pytest.fixture
def predict(project: Project, options, monkeypatch):
    """Predict the pictures in parts of four."""
    bulk = pytest.importorskip("smallvision.scaling.bulk", exc_type=ImportError)
    monkeypatch.setattr(bulk, "PART", 4)
    return lambda *more: project.call(PREDICT, *options, *more)


def run(
    project: Project, code: str, *arguments: str, inside: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*inside, sys.executable, "-c", code, *arguments], cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def table(project: Project) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(project.folder / "out").to_pylist()


def check_answers(project: Project, model: str) -> None:
    """Check that the answers are those of `--json`, and that every other picture has its reason."""
    single = project.call(PREDICT, "--model", model, "--json", "many")
    answers = {answer["picture"]: answer for answer in map(json.loads, single.stdout.splitlines())}
    rows = table(project)
    assert [row["picture"] for row in rows] == [f"many/{number}.jpg" for number in range(18)]
    assert len(answers) == 15
    for row in rows:
        answer = answers.get(row["picture"])
        if answer is None:
            reason = row.pop("error")
            assert f"predict: {row.pop('picture')}: {reason}" in single.stderr
            assert set(row.values()) == {None}
        else:
            assert (row["class"], row["error"]) == (answer["class"], None)
            for name, probability in answer["probabilities"].items():
                assert row[f"p_{name}"] == pytest.approx(probability, abs=1e-6)
            assert row["probability"] == row[f"p_{row['class']}"]


def times(project: Project) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (project.folder / "out").glob("*.parquet")}


def test_answers_are_those_of_single_pictures_and_are_computed_once(classifier, project: Project, predict):
    result = predict()
    assert_one_line(result, 3, "3 of 18 pictures could not be read", "the column `error` of out says why")
    assert result.stdout == "predict: 18 pictures in out, 3 could not be read\n"
    check_answers(project, str(classifier[1]))
    before = times(project)
    assert len(before) == 5
    result = predict("--skip-bad")
    assert (result.returncode, result.stderr) == (0, "")
    assert times(project) == before


def check_features(project: Project, network: keras.Model) -> None:
    """Check that the features are what Keras computes, and that every other picture has its reason."""
    to_features = keras.Model(network.inputs, network.layers[-1].input)
    rows = table(project)
    assert [row["picture"] for row in rows] == [f"many/{number}.jpg" for number in range(18)]
    assert sum(row["error"] is None for row in rows) == 15
    for row in rows:
        if row["error"] is None:
            picture = to_input((project.folder / row["picture"]).read_bytes(), 46)
            (expected,) = to_features.predict(picture[np.newaxis] / np.float32(255), verbose=0)
            assert np.allclose(row["features"], expected, atol=1e-3 * np.abs(expected).max())
        else:
            assert row["features"] is None


@pytest.fixture
def feature_options(classifier, project: Project, options) -> list[str]:
    """The same options, with a network that gives features."""
    network, model = classifier
    facts = read_facts(model.with_name("model.keras"))
    export("features", network, facts, project.folder / "features.tflite", project.folder)
    return ["--model", "features.tflite", *options[2:], "--skip-bad"]


@needs_pyarrow
def test_features(classifier, project: Project, feature_options, monkeypatch):
    monkeypatch.setattr("smallvision.scaling.bulk.PART", 4)
    result = project.call(PREDICT, *feature_options)
    assert (result.returncode, result.stdout) == (0, "predict: 18 pictures in out, 3 could not be read\n")
    check_features(project, classifier[0])
    result = project.call(PREDICT, "--model", "features.tflite", "many/1.jpg")
    assert_one_line(result, 2, "features.tflite: gives features, no classes; write them with --parquet FOLDER")


@needs_pyarrow
def test_an_interrupted_run_goes_on(classifier, project: Project, options):
    """The run is killed while it writes a part; whole parts stay, and nothing half-written counts."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITES + SMALL_PARTS, *options], cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        end = time.monotonic() + 60
        while not (len(times(project)) >= 2 and list((project.folder / "out/_state").glob("part-part*"))):
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = times(project)
    assert len(before) < 5
    assert len(table(project)) == 4 * len(before)
    assert run(project, SMALL_PARTS, *options, "--skip-bad").returncode == 0
    assert before.items() <= times(project).items()
    check_answers(project, str(classifier[1]))


def test_a_part_without_a_single_picture_is_not_answered(project: Project, predict, pictures):
    for number in (4, 5, 6, 7):
        (pictures / f"{number}.jpg").write_bytes(b"")
    assert_one_line(predict("--skip-bad"), 3, "many/4.jpg", "nor could the 3 after it")
    assert set(times(project)) == {"part-000000.parquet"}


def test_a_folder_with_other_answers_is_left_alone(project: Project, predict, pictures):
    assert predict("--skip-bad").returncode == 0
    before = times(project)
    Image.new("RGB", (9, 9)).save(pictures / "99.png")
    assert_one_line(predict(), 3, "out: holds answers of another model or to other pictures")
    (project.folder / "out/_state/answers.json").unlink()
    assert_one_line(predict(), 3, "out: holds Parquet files that are not ours")
    assert times(project) == before


@needs_ray
@needs_network
def test_a_cluster_gives_the_same_answers(classifier, project: Project, options, feature_options):
    there, skip = ON_A_CLUSTER + SMALL_PARTS, [*options, "--skip-bad"]
    with cluster() as both:
        result = run(project, there, *feature_options, inside=both.inside, **both.environment)
        assert (result.returncode, result.stderr) == (0, "")
        check_features(project, classifier[0])
        shutil.rmtree(project.folder / "out")
        result = run(project, there, *skip, inside=both.inside, **both.environment)
        assert (result.returncode, result.stderr) == (0, "")
        check_answers(project, str(classifier[1]))
        (project.folder / "out/part-000001.parquet").unlink()
        result = run(project, ON_A_CLUSTER + OTHER_MODEL + SMALL_PARTS, *skip, inside=both.inside, **both.environment)
        assert_one_line(result, 3, "another model")


def test_without_pyarrow(project: Project, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "smallvision.scaling.bulk", raising=False)
    assert_one_line(project.call(PREDICT, *options), 5, "pyarrow is not installed", "make setup-sweep")
