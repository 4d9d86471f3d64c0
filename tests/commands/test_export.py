"""The command line of `export`."""

import subprocess
import sys

import keras
import pytest

from smallvision.models.convnet import build_convnet
from tests.conftest import ROOT, Project, assert_one_line, save_model


@pytest.mark.slow
def test_the_command_writes_and_says_so(trained: Project, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # tf2onnx sets it
    # Its answers are spread, so that int8 keeps their classes.
    keras.utils.set_random_seed(1)
    network = build_convnet(46, 2)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * 40, bias])
    save_model(trained.folder / "data/models/model.keras", network)
    for kind, output in (("litert_int8", "m.tflite"), ("saved_model", "m"), ("onnx", "m.onnx")):
        result = trained.run(
            "smallvision", "export", "--model", "data/models/model.keras", "--format", kind,
            "--pictures", "data/pictures/validation", output,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"export: {output}: ")
        assert not list(trained.folder.glob("part-*"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "onnx", "m.tflite"], 2, "export: m.tflite: expected a name that ends in .onnx"),
        (["--format", "saved_model", "there"], 2, "export: there: exists; remove it, or choose another name"),
        (["--format", "litert", "m.tflite"], 3, "export: data/models/model.keras: not found; `dvc repro train`"),
    ],
)
def test_what_cannot_be_written_is_one_line(project: Project, arguments, code, words):
    (project.folder / "there").mkdir()
    assert_one_line(project.run("smallvision.export", *arguments), code, words)


def test_onnx_packages_that_are_missing_are_named_with_the_remedy(project: Project):
    code = (
        "import importlib.util, sys; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'onnx' else find(name)\n"
        "from smallvision.errors import run; from smallvision.export import main\n"
        "sys.argv[1:] = ['--format', 'onnx', 'm.onnx']; run('export', main)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert_one_line(result, 5, "export: onnx: not installed; `make setup` does it")
