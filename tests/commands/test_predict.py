"""`smallvision predict` answers pictures, and reports those that it cannot read."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from smallvision.data.pictures.decoding import to_input
from smallvision.models.inference import predict_probabilities
from tests.conftest import ROOT, Project, assert_one_line, jpeg, make_picture
from tests.networks import CLASSES, write_three_classes
from tests.servers import serve

PREDICT = "smallvision.commands.predict"
A = ["a/1.jpg", "a/2.JPEG", "a/10.png", "a/deep er/x.jpg"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network of three classes in LiteRT's format, and its Keras twin."""
    return write_three_classes(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def pictures(project: Project):
    """Six pictures in two folders, one in a folder below."""
    for index, name in enumerate([*A, "b/ü.jpg", "b/y.webp"]):
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(make_picture(index)) // (index + 1)).save(path)
    (project.folder / "a/notes.txt").write_text("no picture")
    (project.folder / "a/._1.jpg").write_bytes(b"macOS")
    (project.folder / "a/.thumbnails").mkdir()
    (project.folder / "a/.thumbnails/1.jpg").write_bytes((project.folder / "a/1.jpg").read_bytes())
    return project.folder


@pytest.fixture
def predict(classifier, project: Project):
    def predict(*arguments: str):
        return project.call(PREDICT, "--model", classifier[1], *arguments)

    return predict


def named(result) -> list[str]:
    """The pictures, in the order of the output."""
    return [row["picture"] for row in csv.DictReader(io.StringIO(result.stdout))]


def test_predictions_are_keras_own(classifier, pictures, predict):
    network, _ = classifier
    paths = [*A, "b/ü.jpg", "b/y.webp"]
    expected = predict_probabilities(
        network, np.stack([to_input((pictures / path).read_bytes(), 46) for path in paths])
    )
    result = predict("--json", *paths)
    assert (result.returncode, result.stderr) == (0, "")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["picture"] for answer in answers] == paths
    for answer, row in zip(answers, expected, strict=True):
        assert list(answer["probabilities"].values()) == sorted(answer["probabilities"].values(), reverse=True)
        assert [answer["probabilities"][name] for name in CLASSES] == pytest.approx(row, abs=1e-3)
        assert answer["class"] == CLASSES[row.argmax()]
    assert expected.std(axis=0).max() > 0.01


def test_no_tensorflow_is_imported_and_a_name_that_the_terminal_cannot_show_is_escaped(classifier, project: Project):
    (project.folder / "\udcff.jpg").write_bytes(jpeg(1))
    command = ("smallvision", "predict", "--model", str(classifier[1]), "\udcff.jpg")
    result = project.run(*command, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    assert result.stdout.endswith("  \\udcff.jpg\n")
    lines = result.stderr.splitlines()
    assert all(line.startswith("import time:") for line in lines), result.stderr
    imported = {line.split("|")[-1].strip() for line in lines}
    assert "ai_edge_litert" in imported
    assert not {"tensorflow", "keras", "dvc", "scipy", "sklearn", "requests"} & imported


def test_text_is_a_line_a_picture_aligned_within_80_columns(pictures, predict):
    lines = predict("--top-k", "2", "a").stdout.splitlines()
    assert [line[24:] for line in lines] == A
    assert all(len(line) <= 80 for line in lines)
    for line in lines:
        first, percent, second, other, *_ = line.split()
        assert {first, second} < set(CLASSES)
        assert 100 >= float(percent[:-1]) >= float(other[:-1]) >= 0


def test_csv_has_a_row_a_class_and_any_name(pictures, predict):
    odd = 'b/new\nline, "quoted".jpg'
    (pictures / odd).write_bytes(jpeg(1))
    result = predict("--csv", "--top-k", "9", odd)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["picture"] for row in rows] == [odd] * 3
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-5)


def test_folders_files_and_patterns_in_the_order_given(pictures, predict):
    assert named(predict("--csv", "b/y.webp", "a", "b/*.jpg")) == ["b/y.webp", *A, "b/ü.jpg"]
    assert named(predict("--csv", "**/*.jp*g")) == ["a/1.jpg", "a/deep er/x.jpg", "b/ü.jpg"]


def test_a_name_with_pattern_characters_is_a_name_first(pictures, predict):
    (pictures / "b/[1]*.jpg").write_bytes(jpeg(1))
    (pictures / "b/1x.jpg").write_bytes(jpeg(1))
    assert named(predict("--csv", "b/[1]*.jpg")) == ["b/[1]*.jpg"]


@pytest.mark.parametrize("name", ["-rf.jpg", " two  spaces.jpg", "new\nline.jpg", "\udcff.jpg", "no suffix"])
def test_any_name_is_read_and_shown_on_one_line(project: Project, predict, name):
    (project.folder / name).write_bytes(jpeg(1))
    result = predict("--", name)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1
    assert json.loads(predict("--json", "--", name).stdout)["picture"] == name


def test_bad_pictures_are_named_and_good_ones_predicted(pictures, predict):
    (pictures / "a/3.jpg").write_bytes(jpeg(1)[:500])
    (pictures / "a/4.png").write_bytes(b"<html>")
    result = predict("--csv", "a", "nowhere.jpg")
    assert result.returncode == 3
    assert named(result) == A
    assert result.stderr.splitlines() == [
        "predict: a/3.jpg: damaged: Truncated File Read",
        "predict: a/4.png: no picture in a supported format (JPEG, PNG, GIF, WEBP, BMP)",
        "predict: nowhere.jpg: No such file or directory",
        "predict: 3 of 7 pictures could not be read",
    ]
    assert predict("--skip-bad", "a").returncode == 0
    assert_one_line(predict("--skip-bad", "a/3.jpg"), 3, "predict: a/3.jpg: damaged")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.jpg"], 3, "predict: nowhere.jpg: No such file or directory"),
        (["empty"], 3, "predict: empty: no pictures in this folder or below"),
        (["no*where"], 3, "predict: no*where: no such file, and nothing that it matches as a pattern"),
        (["http://127.0.0.1:9/x.jpg"], 2, "predict: http://127.0.0.1:9/x.jpg: add --allow-urls to have addresses"),
        (["HTTP://127.0.0.1:9/x.jpg"], 2, "predict: HTTP://127.0.0.1:9/x.jpg: add --allow-urls to have addresses"),
        (["--allow-urls", "http://127.0.0.1:9/x.jpg"], 4, "http://127.0.0.1:9/x.jpg: no connection; check the address"),
        (["--allow-urls", "http://127.0.0.1:x/x.jpg"], 4, "http://127.0.0.1:x/x.jpg: InvalidURL; check the address"),
    ],
)
def test_what_cannot_be_read_is_one_line(project: Project, predict, arguments, code, words):
    (project.folder / "empty").mkdir()
    assert_one_line(predict(*arguments), code, words)


def test_an_address_is_fetched_if_that_is_allowed(predict):
    answers = {"/good.jpg": jpeg(1), "/bad.jpg": b"<html>"}

    def answer(handler):
        found = answers.get(handler.path)
        handler.send(200 if found else 404, found or b"")

    with serve(answer) as server:
        address = server.address.rsplit("/", 1)[0]
        assert named(predict("--csv", "--allow-urls", f"{address}/good.jpg")) == [f"{address}/good.jpg"]
        assert_one_line(predict("--allow-urls", f"{address}/bad.jpg"), 3, "bad.jpg: no picture in a supported format")
        assert_one_line(predict("--allow-urls", f"{address}/none.jpg"), 4, "none.jpg: the server answered 404")
        result = predict("--allow-urls", f"{address}/none.jpg", f"{address}/good.jpg")
        assert (result.returncode, len(result.stdout.splitlines())) == (4, 1)


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it_quietly(classifier, pictures):
    many = " ".join(["a/1.jpg"] * 200)
    command = f"{sys.executable} -m smallvision predict --model '{classifier[1]}' {many} | head -1"
    result = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"],
        cwd=pictures,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.jpg"], "predict: data/models/model.tflite: not found; `dvc repro train` makes it"),
        (["--model", "model.keras", "x.jpg"], "predict: model.keras: expected a .tflite file"),
        (["--model", "damaged.tflite", "x.jpg"], "damaged.tflite: damaged, or not of this project"),
    ],
)
def test_a_model_that_is_none_is_one_line(project: Project, arguments, words):
    """All that can be wrong with a model is in tests/models/test_litert.py."""
    for name in ("x.jpg", "model.keras", "damaged.tflite"):
        (project.folder / name).write_bytes(jpeg(1))
    assert_one_line(project.call(PREDICT, *arguments), 3, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top-k", "0", "x.jpg"], "--top-k: expected at least 1"),
        (["--top-k", "2", "--parquet", "out", "x.jpg"], "--top-k: Parquet files hold all classes"),
    ],
)
def test_options_that_make_no_sense_are_refused(project: Project, arguments, words):
    result = project.call(PREDICT, *arguments)
    assert (result.returncode, words in result.stderr) == (2, True)
