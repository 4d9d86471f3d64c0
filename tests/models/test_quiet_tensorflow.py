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
    expected = (
        r"^TensorFlow cannot be loaded: libtensorflow_cc\.so\.2: failed to map; free some memory, or install again$"
    )
    with pytest.raises(SurroundingsError, match=expected) as caught:
        import_tensorflow()
    assert caught.value.exit_code == 5


def test_messages_are_hidden_unless_the_block_fails_with_a_bug(capfd):
    with stderr_put_aside():
        os.write(2, b"start-up message\n")
    with pytest.raises(InputError), stderr_put_aside():
        os.write(2, b"start-up message\n")
        raise InputError("what the user should know")
    assert capfd.readouterr().err == ""
    with pytest.raises(ZeroDivisionError), stderr_put_aside():
        os.write(2, b"what may explain the bug\n")
        raise ZeroDivisionError
    assert capfd.readouterr().err == "what may explain the bug\n"
