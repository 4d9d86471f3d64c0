"""The command `smallvision`: it lists its commands at once, and imports only the one that is asked for."""

import ast
import importlib.metadata
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smallvision.__main__ import COMMANDS, GROUPS, run_command
from smallvision.core.errors import ParameterError
from tests.conftest import ROOT, Project, assert_one_line

HEAVY = ("tensorflow", "keras", "dvc", "ray", "scipy", "sklearn", "matplotlib", "onnx")
installed = pytest.mark.skipif(
    not [point for point in importlib.metadata.entry_points(group="console_scripts") if point.name == "smallvision"],
    reason="the command is not installed: `make setup` does it",
)


def output_of(program: str, *arguments: str) -> str:
    """Return what a Python program prints after it has imported `main` and taken `arguments` as its command line."""
    code = f"import sys; sys.argv[1:] = {list(arguments)}; from smallvision.__main__ import main\n{program}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_alone_it_lists_the_commands_in_groups_at_once(project: Project):
    seconds = []
    for arguments in [(), ("--help",), ("-h",), ()]:
        start = time.monotonic()
        result = project.run("smallvision", *arguments)
        seconds.append(time.monotonic() - start)
        assert (result.returncode, result.stderr) == (0, "")
        lines = result.stdout.splitlines()
        assert max(map(len, lines)) <= 80
        titles = [index for index, line in enumerate(lines) if line.endswith(":")]
        assert [lines[index] for index in titles] == [f"{group}:" for group in GROUPS]
        for index, commands in zip(titles, GROUPS.values(), strict=True):
            assert [line.split()[0] for line in lines[index + 1 : index + 1 + len(commands)]] == list(commands)
    assert min(seconds) < 0.3


def test_listing_imports_no_package_that_takes_time():
    program = "try: main()\nexcept SystemExit: print({name.split('.')[0] for name in sys.modules})"
    modules = ast.literal_eval(output_of(program).splitlines()[-1])
    assert modules - set(sys.stdlib_module_names) <= {"__main__", "smallvision", *modules_at_start()}


def modules_at_start() -> set[str]:
    """What Python imports before any program, such as the finder of an editable installation."""
    program = "import sys; print({name.split('.')[0] for name in sys.modules})"
    return ast.literal_eval(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout)


def test_the_commands_are_the_modules_with_a_main():
    files = (ROOT / "smallvision/commands").glob("*.py")
    assert sorted(COMMANDS) == sorted(file.stem for file in files if "\ndef main(" in file.read_text(encoding="utf-8"))


def test_help_of_every_command_needs_neither_tensorflow_nor_another_slow_package():
    program = (
        "from smallvision.__main__ import COMMANDS, run_command\n"
        "for name in COMMANDS:\n"
        "    try: run_command(name, ['--help'])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    *lines, heavy = output_of(program).splitlines()
    assert heavy == "[]"
    assert [line.split()[1:3] for line in lines if line.startswith("usage:")] == [["smallvision", c] for c in COMMANDS]
    assert max(map(len, lines)) <= 80


def test_only_the_module_of_the_command_is_imported():
    """SciPy, NumPy and DVC take seconds on a busy machine, so only a comparison itself imports them."""
    program = (
        "try: main()\n"
        "except SystemExit: print([n for n in sys.modules if n.startswith('smallvision.commands.') or n == 'numpy'])"
    )
    assert output_of(program, "compare", "--help").splitlines()[-1] == "['smallvision.commands.compare']"


def test_a_wrong_command_is_one_line_that_names_the_nearest(project: Project):
    result = project.run("smallvision", "predct", "my-dog.jpg")
    assert_one_line(result, 2)
    assert result.stderr == "smallvision: there is no command 'predct'; did you mean 'predict'?\n"


@pytest.mark.parametrize("name", ["", "xyz", "--version", "new\nline", "x" * 1000])
def test_without_a_near_one_all_commands_are_listed(name):
    with pytest.raises(ParameterError, match="there is no command '") as caught:
        run_command(name, [])
    assert str(caught.value).endswith(f"the commands are {', '.join(COMMANDS)}")
    assert len(str(caught.value)) < 200


def test_an_import_that_fails_is_a_bug_and_one_that_is_interrupted_is_not(project: Project):
    module = project.folder / "numpy.py"  # found before the installed package, as the current folder comes first
    module.write_text("raise ImportError('no numpy here')")
    result = project.run("smallvision", "predict", "x.jpg")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert "no numpy here" in result.stderr
    # TensorFlow's import turns an interruption into an ImportError.
    module.write_text(
        "import time\nprint('importing', flush=True)\n"
        "try: time.sleep(60)\nexcept KeyboardInterrupt: raise ImportError('interrupted') from None"
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with project.start("smallvision", "predict", "x.jpg") as process:
            assert process.stdout.readline() == "importing\n"
            process.send_signal(number)
            rest, _ = process.communicate(timeout=30)
        assert (process.returncode, rest) == (code, "predict: interrupted\n")


@installed
def test_the_console_script_runs_from_anywhere(tmp_path):
    script = Path(sys.executable).with_name("smallvision")
    result = subprocess.run([script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")] == COMMANDS
    result = subprocess.run([script, "predict", "x.jpg"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert_one_line(result, 3, "predict: data/models/model.tflite: not found")


@installed
def test_the_code_of_the_current_folder_goes_before_the_installed_one(tmp_path):
    """DVC runs `python -m stages.train` in copies of the project."""
    for folder in ("smallvision", "stages"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "stages/where.py").write_text("import smallvision; print(smallvision.__file__)")
    (tmp_path / "elsewhere").mkdir()
    for folder, module, expected in ((tmp_path, "stages.where", tmp_path), (tmp_path / "elsewhere", "where", ROOT)):
        (tmp_path / "elsewhere/where.py").write_text("import smallvision; print(smallvision.__file__)")
        result = subprocess.run(
            [sys.executable, "-m", module], cwd=folder, env={}, capture_output=True, text=True, check=True
        )
        assert Path(result.stdout.strip()) == expected / "smallvision/__init__.py"
