"""TensorFlow is loaded without its messages, and if that fails, the user is told why."""

import os
import sys

import pytest

from smallvision.core.errors import InputError, SurroundingsError
from smallvision.models.quiet_tensorflow import LEVEL, import_tensorflow, stderr_put_aside


@pytest.mark.parametrize("level", [None, "0"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [(r"libtensorflow_cc.so.2: failed to map\nmore", "libtensorflow_cc.so.2: failed to map"), ("", "ImportError")],
)
def test_tensorflow_that_cannot_be_loaded_is_no_bug(monkeypatch, tmp_path, level, text, reason):
    (tmp_path / "tensorflow.py").write_text(f"raise ImportError('{text}')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(LEVEL, raising=False)
    if level is not None:
        monkeypatch.setenv(LEVEL, level)
    with pytest.raises(SurroundingsError, match=rf"^TensorFlow cannot be loaded: {reason}; free"):
        import_tensorflow()


@pytest.mark.parametrize(("level", "shown"), [(None, ""), ("0", "a message\n")])
def test_messages_are_shown_to_those_who_set_the_level(monkeypatch, tmp_path, capfd, level, shown):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'a message\\n')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.delenv(LEVEL, raising=False)
    if level is not None:
        monkeypatch.setenv(LEVEL, level)
    import_tensorflow()
    assert capfd.readouterr().err == shown


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
