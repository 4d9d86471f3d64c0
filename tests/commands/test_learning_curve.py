"""Which points a learning curve has; tests/test_pipeline.py draws one."""

import pytest

from smallvision.commands.dvc_and_git import output_of
from smallvision.commands.learning_curve import choose_limits
from smallvision.core.errors import ParameterError, SurroundingsError


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        (None, 1000, [50, 100, 250, 500, 1000]),
        (None, 1200, [50, 100, 250, 500, 1000]),
        (None, 300, [50, 100, 250, 300]),
        (None, 4, [4]),
        ([250, 20, 250], 300, [20, 250]),
    ],
)
def test_no_point_is_named_after_pictures_that_are_not_there(wanted, available, expected):
    assert choose_limits(wanted, available) == expected
    with pytest.raises(ParameterError, match=f"--limits: {available + 1} is more than the {available} training"):
        choose_limits([1, available + 1], available)


def test_a_program_that_is_not_there_or_fails_is_named():
    assert output_of("git", "--version").startswith("git version")
    with pytest.raises(SurroundingsError, match=r"`no-such-program now`: not found"):
        output_of("no-such-program", "now")
    with pytest.raises(SurroundingsError, match=r"`git no-such-command` failed"):
        output_of("git", "no-such-command")
