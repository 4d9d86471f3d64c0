"""What errors say."""

import errno

import pytest

from smallvision.core.errors import InputError, first_line, surroundings_of


def test_an_error_of_the_surroundings_is_told_from_others():
    assert surroundings_of(OSError(errno.EACCES, "Permission denied", "f")) == (
        "f: Permission denied: check the permissions"
    )
    assert surroundings_of(type("ResourceExhaustedError", (Exception,), {})()).startswith("out of memory")
    assert surroundings_of(OSError(errno.EINVAL, "Invalid argument")) is None
    assert surroundings_of(ValueError("x")) is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one"), "one"),
        (ValueError("\n  one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (InputError(" \n"), "InputError"),
    ],
)
def test_the_first_line_of_an_error_is_its_message_or_its_type(error, line):
    assert first_line(error) == line
