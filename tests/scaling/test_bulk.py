"""`python -m smallvision.predict --parquet`: very many pictures, in parts, here and on a cluster."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from smallvision.commands import export
from smallvision.data.pictures.decoding import to_input
from tests.cluster import cluster
from tests.commands.test_predict import trained  # noqa: F401
from tests.conftest import ROOT, Project, assert_one_line, jpeg
from tests.scaling.test_sweep import needs_network, needs_ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("pyarrow"), reason="PyArrow is missing: `make setup-sweep` installs it"
    ),
]
SMALL_PARTS = "from smallvision import bulk, errors, predict; bulk.PART = 4; errors.run('predict', predict.main)"

# Says that the model was another one when this began.
OTHER_MODEL = """
import dataclasses, json, pathlib
from smallvision import litert
def other_model(path):
    network, card = litert.read_litert(path)
    state = pathlib.Path("out/_state/answers.json")
    state.write_text(json.dumps(json.loads(state.read_text()) | {"model": "other"}))
    return network, dataclasses.replace(card, litert="other")
"""


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
def command(trained, project: Project, pictures):  # noqa: F811
    """Answer them in parts of four."""

    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-c", SMALL_PARTS, "--model", str(trained[1]), "--parquet", "out", "many", *arguments]

    return command


def run(project: Project, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=project.folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


def table(project: Project) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(project.folder / "out").to_pylist()


def check_answers(project: Project, model: str) -> None:
    """They are those of `--json`, and every other picture has its reason."""
    single = project.run("smallvision.predict", "--model", model, "--json", "many")
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


def test_answers_are_those_of_single_pictures_and_are_computed_once(trained, project: Project, command):  # noqa: F811
    result = run(project, command())
    assert_one_line(result, 3, "3 of 18 pictures could not be read", "the column `error` of out says why")
    assert result.stdout == "predict: 18 pictures in out, 3 could not be read\n"
    check_answers(project, str(trained[1]))
    before = times(project)
    assert len(before) == 5
    result = run(project, command("--skip-bad"))
    assert (result.returncode, result.stderr) == (0, "")
    assert times(project) == before


def check_features(project: Project, network: keras.Model) -> None:
    """They are what Keras computes, and every other picture has its reason."""
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
def to_features(trained, project: Project, command):  # noqa: F811
    """The command with a network that gives features."""
    network, model = trained
    card = modelfile.read_card(model.with_name("model.keras"))
    export.export("features", network, card, project.folder / "features.tflite", project.folder)
    return [part if part != str(model) else "features.tflite" for part in command("--skip-bad")]


def test_features(trained, project: Project, to_features):  # noqa: F811
    result = run(project, to_features)
    assert (result.returncode, result.stdout) == (0, "predict: 18 pictures in out, 3 could not be read\n")
    check_features(project, trained[0])
    result = project.run("smallvision.predict", "--model", "features.tflite", "many/1.jpg")
    assert_one_line(result, 2, "features.tflite: gives features, no classes; write them with --parquet FOLDER")


def test_an_interrupted_run_goes_on(trained, project: Project, command):  # noqa: F811
    """Killed while a part is being written: what is there stays, and nothing half-written counts."""
    slow = command()
    slow[2] = (
        "import time; from smallvision import bulk; write = bulk.pq.write_table; "
        "bulk.pq.write_table = lambda *a: (write(*a), time.sleep(0.5)); " + SMALL_PARTS
    )
    with subprocess.Popen(
        slow, cwd=project.folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 60
        while not (len(times(project)) >= 2 and list((project.folder / "out/_state").glob("part-part*"))):
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = times(project)
    assert len(before) < 5
    assert len(table(project)) == 4 * len(before)
    assert run(project, command("--skip-bad")).returncode == 0
    assert before.items() <= times(project).items()
    check_answers(project, str(trained[1]))


def test_a_part_without_a_single_picture_is_not_answered(project: Project, command, pictures):
    for number in (4, 5, 6, 7):
        (pictures / f"{number}.jpg").write_bytes(b"")
    assert_one_line(run(project, command("--skip-bad")), 3, "many/4.jpg", "nor could the 3 after it")
    assert set(times(project)) == {"part-000000.parquet"}


def test_all_classes_are_in_the_files(project: Project, command):
    result = run(project, command("--top-k=2"))
    assert (result.returncode, "all classes" in result.stderr) == (2, True)


def test_a_folder_with_other_answers_is_left_alone(project: Project, command, pictures):
    assert run(project, command("--skip-bad")).returncode == 0
    before = times(project)
    Image.new("RGB", (9, 9)).save(pictures / "99.png")
    assert_one_line(run(project, command()), 3, "out: holds answers of another model or to other pictures")
    (project.folder / "out/_state/answers.json").unlink()
    assert_one_line(run(project, command()), 3, "out: holds Parquet files that are not ours")
    assert times(project) == before


@needs_ray
@needs_network
def test_a_cluster_gives_the_same_answers(trained, project: Project, command, to_features):  # noqa: F811
    there = command("--skip-bad")
    # `map` is what would answer on this machine.
    there[2] = to_features[2] = "from smallvision import bulk; bulk.map = None; " + SMALL_PARTS
    with cluster() as both:
        result = run(project, [*both.inside, *to_features], **both.environment)
        assert (result.returncode, result.stderr) == (0, "")
        check_features(project, trained[0])
        shutil.rmtree(project.folder / "out")
        result = run(project, [*both.inside, *there], **both.environment)
        assert (result.returncode, result.stderr) == (0, "")
        check_answers(project, str(trained[1]))
        (project.folder / "out/part-000001.parquet").unlink()
        there[2] = there[2].replace("bulk.PART = 4", "bulk.PART = 4; bulk.read_litert = other_model")
        there[2] = OTHER_MODEL + there[2]
        assert_one_line(run(project, [*both.inside, *there], **both.environment), 3, "another model")


def test_without_pyarrow(project: Project, command):
    line = command()
    line[2] = (
        "import sys; sys.modules['pyarrow'] = None; from smallvision import errors, predict; "
        "errors.run('predict', predict.main)"
    )
    assert_one_line(run(project, line), 5, "pyarrow is not installed", "make setup-sweep")
