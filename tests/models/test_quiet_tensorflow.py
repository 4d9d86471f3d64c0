"""TensorFlow is loaded without its messages, and if that fails, the user is told why."""

import os
import sys

import pytest

from smallvision.core.errors import InputError, SurroundingsError
from smallvision.models.quiet_tensorflow import LEVEL, import_tensorflow, stderr_put_aside


def test_tensorflow_that_cannot_be_loaded_is_no_bug(monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libtensorflow_cc.so.2: failed to map\\nmore')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(LEVEL, raising=False)
    with pytest.raises(
        SurroundingsError, match=r"^TensorFlow cannot be loaded: libtensorflow_cc.*: failed to map; free"
    ):
        import_tensorflow()


def fail_aloud(error: Exception) -> None:
    with stderr_put_aside():
        os.write(2, b"a message\n")
        raise error


def test_messages_are_hidden_unless_the_block_fails_with_a_bug(capfd):
    with stderr_put_aside():
        os.write(2, b"a message\n")
    with pytest.raises(InputError):
        fail_aloud(InputError("what the user should know"))
    assert capfd.readouterr().err == ""
    with pytest.raises(ZeroDivisionError):
        fail_aloud(ZeroDivisionError())
    assert capfd.readouterr().err == "a message\n"
