"""`python -m smallvision.predict`: what it says of pictures, and of what it cannot read."""

import csv
import io
import json
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from smallvision.core.errors import UserError
from smallvision.data.pictures.decoding import decode, to_checked_input, to_input
from smallvision.models import convnet, litert
from tests.conftest import ROOT, Project, assert_one_line, jpeg, make_picture, save_model
from tests.servers import serve


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of three classes in LiteRT's format, and its Keras twin."""
    keras.utils.set_random_seed(3)
    network = convnet.baseline(46, 3)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * 30, bias])
    folder = tmp_path_factory.mktemp("trained")
    card = save_model(folder / "model.keras", network, classes=["ant", "bee", "cow"])
    litert.write_litert(folder / "alone.tflite", litert.convert(litert.deployable(network)), card)
    return network, folder / "alone.tflite"


@pytest.fixture
def pictures(project: Project):
    """Six pictures in two folders, one in a folder below."""
    for index, name in enumerate(["a/1.jpg", "a/2.JPEG", "a/10.png", "a/deep er/x.jpg", "b/ü.jpg", "b/y.webp"]):
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(make_picture(index)) // (index + 1)).save(path)
    (project.folder / "a/notes.txt").write_text("no picture")
    (project.folder / "a/._1.jpg").write_bytes(b"macOS")
    (project.folder / "a/.thumbnails").mkdir()
    (project.folder / "a/.thumbnails/1.jpg").write_bytes((project.folder / "a/1.jpg").read_bytes())
    return project.folder


@pytest.fixture
def run(trained, project: Project):
    _, model = trained

    def run(*arguments: str, **environment: str):
        return project.run("smallvision.predict", "--model", str(model), *arguments, **environment)

    return run


def named(result) -> list[str]:
    """The pictures, in the order of the output."""
    return [row["picture"] for row in csv.DictReader(io.StringIO(result.stdout))]


A = ["a/1.jpg", "a/2.JPEG", "a/10.png", "a/deep er/x.jpg"]


def test_predictions_are_keras_own(trained, pictures, run):
    network, _ = trained
    paths = [*A, "b/ü.jpg", "b/y.webp"]
    expected = modelfile.probabilities(
        network, np.stack([to_input((pictures / path).read_bytes(), 46) for path in paths])
    )
    result = run("--json", *paths)
    assert (result.returncode, result.stderr) == (0, "")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["picture"] for answer in answers] == paths
    for answer, row in zip(answers, expected, strict=True):
        assert list(answer["probabilities"].values()) == sorted(answer["probabilities"].values(), reverse=True)
        assert [answer["probabilities"][name] for name in ("ant", "bee", "cow")] == pytest.approx(row, abs=1e-3)
        assert answer["class"] == ["ant", "bee", "cow"][row.argmax()]
    assert expected.std(axis=0).max() > 0.01


def test_no_tensorflow_is_imported(trained, pictures):
    _, model = trained
    code = (
        "import sys; sys.argv[1:] = sys.argv[1:]\n"
        "from smallvision import predict\n"
        "predict.main()\n"
        "assert not {'tensorflow', 'keras', 'dvc', 'scipy', 'sklearn', 'requests'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, "--model", str(model), str(pictures / "a/1.jpg")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )


def test_text_is_a_line_a_picture_aligned_within_80_columns(pictures, run):
    result = run("--top-k", "2", "a")
    lines = result.stdout.splitlines()
    assert [line[24:] for line in lines] == A
    assert all(len(line) <= 80 for line in lines)
    for line in lines:
        first, percent, second, other, *_ = line.split()
        assert {first, second} < {"ant", "bee", "cow"}
        assert 100 >= float(percent[:-1]) >= float(other[:-1]) >= 0


def test_csv_has_a_row_a_class_and_any_name(pictures, run):
    odd = 'b/new\nline, "quoted".jpg'
    (pictures / odd).write_bytes(jpeg(1))
    result = run("--csv", "--top-k", "9", odd)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["picture"] for row in rows] == [odd] * 3
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-5)


def test_folders_files_and_patterns_in_the_order_given(pictures, run):
    assert named(run("--csv", "b/y.webp", "a", "b/*.jpg")) == ["b/y.webp", *A, "b/ü.jpg"]
    assert named(run("--csv", "**/*.jp*g")) == ["a/1.jpg", "a/deep er/x.jpg", "b/ü.jpg"]


def test_a_name_with_pattern_characters_is_a_name_first(pictures, run):
    (pictures / "b/[1]*.jpg").write_bytes(jpeg(1))
    (pictures / "b/1x.jpg").write_bytes(jpeg(1))
    assert named(run("--csv", "b/[1]*.jpg")) == ["b/[1]*.jpg"]


@pytest.mark.parametrize("name", ["-rf.jpg", " two  spaces.jpg", "new\nline.jpg", "\udcff.jpg", "no suffix"])
def test_any_name_is_read_and_shown_on_one_line(project: Project, run, name):
    (project.folder / name).write_bytes(jpeg(1))
    result = run("--", name)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1
    assert json.loads(run("--json", "--", name).stdout)["picture"] == name


def test_bad_pictures_are_named_and_good_ones_predicted(pictures, run):
    (pictures / "a/3.jpg").write_bytes(jpeg(1)[:500])
    (pictures / "a/4.png").write_bytes(b"<html>")
    result = run("--csv", "a", "nowhere.jpg")
    assert result.returncode == 3
    assert named(result) == A
    assert result.stderr.splitlines() == [
        "predict: a/3.jpg: damaged: Truncated File Read",
        "predict: a/4.png: no picture in a supported format (JPEG, PNG, GIF, WEBP, BMP)",
        "predict: nowhere.jpg: No such file or directory",
        "predict: 3 of 7 pictures could not be read",
    ]
    assert run("--skip-bad", "a").returncode == 0
    assert_one_line(run("--skip-bad", "a/3.jpg"), 3, "predict: a/3.jpg: damaged")


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
def test_what_cannot_be_read_is_one_line(project: Project, run, arguments, code, words):
    (project.folder / "empty").mkdir()
    assert_one_line(run(*arguments), code, words)


def test_an_address_is_fetched_if_that_is_allowed(run):
    answers = {"/good.jpg": jpeg(1), "/bad.jpg": b"<html>"}

    def answer(handler):
        found = answers.get(handler.path)
        handler.send(200 if found else 404, found or b"")

    with serve(answer) as server:
        address = server.address.rsplit("/", 1)[0]
        assert named(run("--csv", "--allow-urls", f"{address}/good.jpg")) == [f"{address}/good.jpg"]
        assert_one_line(run("--allow-urls", f"{address}/bad.jpg"), 3, "bad.jpg: no picture in a supported format")
        assert_one_line(run("--allow-urls", f"{address}/none.jpg"), 4, "none.jpg: the server answered 404")
        result = run("--allow-urls", f"{address}/none.jpg", f"{address}/good.jpg")
        assert (result.returncode, len(result.stdout.splitlines())) == (4, 1)


def test_a_reader_that_goes_away_ends_it_quietly(trained, pictures):
    _, model = trained
    many = " ".join(["a/1.jpg"] * 200)
    command = f"{sys.executable} -m smallvision.predict --model '{model}' {many} | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=pictures,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 2


def test_a_good_jpeg_becomes_what_it_is_in_training_without_a_second_full_decoding(monkeypatch):
    data = jpeg(1, width=300, height=200)
    expected = to_input(data, 46)
    monkeypatch.setattr("smallvision.pictures.decode", None)
    assert np.array_equal(to_checked_input(data, 46), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damage_is_found_where_decode_finds_it(kind):
    """Cut anywhere, and bytes changed: what `decode` refuses is refused, and nothing else."""
    whole = io.BytesIO()
    make_picture(1).save(whole, kind)
    data, rng = whole.getvalue(), np.random.default_rng(1)
    harmed = [data[:length] for length in rng.integers(0, len(data), 40)]
    for _ in range(40):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        harmed.append(bytes(flipped))
    for bad in harmed:
        results = []
        for read in (decode, lambda data: to_checked_input(data, 46)):
            try:
                read(bad)
                results.append("read")
            except UserError as error:
                results.append(str(error))
        assert results[0] == results[1]


class TestModels:
    """Files that are no model of this project, or no longer."""

    def refuse(self, project: Project, model, *words: str):
        (project.folder / "x.jpg").write_bytes(jpeg(1))
        assert_one_line(project.run("smallvision.predict", "--model", str(model), "x.jpg"), 3, *words)

    def test_a_pickle_is_never_loaded(self, project: Project, tmp_path):
        class Harm:
            def __reduce__(self):
                return (open, (str(tmp_path / "harmed"), "w"))

        for name in ("model.pkl", "model.h5", "model.keras"):
            (tmp_path / name).write_bytes(pickle.dumps(Harm()))
            self.refuse(project, tmp_path / name, "expected a .tflite file")
        (tmp_path / "model.tflite").write_bytes(pickle.dumps(Harm()))
        self.refuse(project, tmp_path / "model.tflite", "damaged, or not of this project")
        assert not (tmp_path / "harmed").exists()

    def test_missing(self, project: Project):
        assert_one_line(
            project.run("smallvision.predict", "x.jpg"),
            3,
            "predict: data/models/model.tflite: not found; `dvc repro train` makes it",
        )
