"""The command line of `smallvision export`; the formats themselves are tested in tests/serving."""

import importlib.util

import pytest

from tests.conftest import Project, assert_one_line

EXPORT = "smallvision.commands.export"


@pytest.mark.slow
def test_the_command_writes_and_says_so(trained: Project, monkeypatch):
    """As a process, because the converters of other formats write to its file descriptors."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # tf2onnx sets it
    (trained.folder / "export_all.py").write_text(
        "from smallvision.__main__ import run_command\n"
        "for kind, output in (('litert_int8', 'm.tflite'), ('saved_model', 'm'), ('onnx', 'm.onnx')):\n"
        "    run_command('export', ['--format', kind, '--pictures', 'data/pictures/validation', output])\n"
    )
    result = trained.run("export_all")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines() if line.startswith("export: ")]
    assert [line.split(": ")[1] for line in lines] == ["m.tflite", "m", "m.onnx"]
    assert result.stdout.startswith("export: ")
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
    assert_one_line(project.call(EXPORT, *arguments), code, words)


def test_onnx_packages_that_are_missing_are_named_with_the_remedy(project: Project, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    result = project.call(EXPORT, "--format", "onnx", "m.onnx")
    assert_one_line(result, 5, "export: onnx: not installed; `make setup` does it")
