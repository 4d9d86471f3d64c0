"""Exit codes and lines, with the streams a process may be given."""

import errno
import os
import subprocess
import sys
import time

import pytest

from smallvision.core.errors import DivergedError, InputError, NetworkError, ParameterError, SurroundingsError
from smallvision.core.process import report_error
from tests.conftest import ROOT, listen_to_ctrl_c


def run(code: str, shell: str = "", stdout=subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    imports = (
        "import os\nfrom smallvision.core.errors import *\nfrom smallvision.core.process import check_stopped, run"
    )
    script = f"{imports}\ndef main():\n    {code}\nrun('stage', main)"
    return subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {shell}', sys.executable, script],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=listen_to_ctrl_c,
    )


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ParameterError("x"), 2, "stage: x\n"),
        (InputError("x"), 3, "stage: x\n"),
        (NetworkError("x"), 4, "stage: x\n"),
        (SurroundingsError("x"), 5, "stage: x\n"),
        (DivergedError("x"), 6, "stage: x\n"),
        (InputError("a\nb\x1b[31m\udcff ä"), 3, "stage: a\\nb\\x1b[31m\\udcff ä\n"),
        (KeyboardInterrupt(), 130, "stage: interrupted\n"),
        (MemoryError(), 5, "stage: out of memory: lower batch_size or image_size, or free some memory\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "f"),
            5,
            "stage: f: No space left on device: free some space\n",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_an_error_is_explained_in_one_line_and_has_its_exit_code(error, status, line, capsys):
    assert report_error("stage", error) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ("pass", 0, ""),
        ("raise InputError('a\\nb\\x1b[31m\\udcff ä')", 3, "stage: a\\nb\\x1b[31m\\udcff ä"),
        pytest.param("raise DivergedError('x')", 6, "stage: x", marks=pytest.mark.slow),
        ("raise KeyboardInterrupt", 130, "stage: interrupted"),
        ("os.kill(os.getpid(), 15)", 143, "stage: interrupted"),
        ("os.kill(os.getpid(), 2)", 130, "stage: interrupted"),
        ("try: os.kill(os.getpid(), 2)\n    except BaseException: raise ValueError", 130, "stage: interrupted"),
        (
            "try: os.kill(os.getpid(), 15)\n    except BaseException: pass\n    check_stopped()",
            143,
            "stage: interrupted",
        ),
        (
            "try: os.kill(os.getpid(), 15)\n    except BaseException: raise SurroundingsError('x')",
            143,
            "stage: interrupted",
        ),
        # What a half-finished import leaves behind must not decide the exit code.
        ("import atexit; atexit.register(os._exit, 9); os.kill(os.getpid(), 15)", 143, "stage: interrupted"),
        pytest.param("raise MemoryError", 5, "stage: out of memory: lower batch_size", marks=pytest.mark.slow),
        ("open('nowhere/x', 'w')", 5, "stage: nowhere/x: No such file or directory: it was moved or deleted meanwhile"),
        pytest.param(
            "open('smallvision')", 5, "stage: smallvision: Is a directory: expected a file", marks=pytest.mark.slow
        ),
    ],
)
def test_a_process_ends_with_an_exit_code_and_one_line(code, status, line):
    result = run(code)
    assert result.returncode == status
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == (1 if line else 0)


def test_a_bug_keeps_its_traceback():
    result = run("1 / 0")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(
    ("code", "shell", "status"),
    [
        ("print('x')", ">&-", 0),
        ("print('x'); raise InputError('y')", ">&-", 3),
        ("raise InputError('y')", "2>&-", 3),
        ("print('x'); raise InputError('y')", ">/dev/full", 3),
        ("print('x')", ">/dev/full", 5),
        ("os.write(1, b'x'); os.write(2, b'x')", "<&- >&- 2>&-", 0),
    ],
)
def test_closed_and_full_streams(code, shell, status):
    result = run(code, shell)
    assert result.returncode == status, result.stderr
    assert "Exception" not in result.stderr


def test_a_reader_that_goes_away_is_no_error():
    result = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -n 1; echo ${PIPESTATUS[0]}', sys.executable,
         "from smallvision.core.process import run\nrun('stage', lambda: [print(n) for n in range(10**6)])"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout == "0\n141\n"
    assert result.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
def test_an_interrupted_import_of_tensorflow_is_an_interruption(seconds):
    """TensorFlow turns the interruption into an ImportError; the messages that it has written must not be shown."""
    script = """
from smallvision.core.process import run
def main():
    from smallvision.models.quiet_tensorflow import import_tensorflow
    print(flush=True)
    while True: import_tensorflow()
run('stage', main)"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        time.sleep(seconds)
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (143, "stage: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize(("error", "code"), [("InputError('x')", 3), ("ValueError('x')", 1)])
def test_a_failure_while_batches_are_made_ends_the_process(error, code):
    """When the interpreter and TensorFlow clean up, they abort or wait for each other (4 of 5 times)."""
    script = f"""
from smallvision.core.errors import InputError
from smallvision.core.process import run
def main():
    import numpy as np
    from smallvision.training.batches import training_batches
    from smallvision.core.params import Augment
    pictures = np.zeros((2000, 64, 64, 3), np.uint8)
    global batches
    batches = iter(training_batches(pictures, np.zeros((2000, 1)), 32, 0, Augment(rotation=9, contrast=0.2, erase=1)))
    next(batches)
    raise {error}
run('stage', main)"""
    for _ in range(2):
        result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False)
        assert result.returncode == code, result.stderr
