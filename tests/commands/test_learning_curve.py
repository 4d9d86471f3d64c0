"""A learning curve has the right points, and finds those that it has already; tests/pipeline runs real experiments."""

import pytest

from smallvision.commands.dvc_and_git import output_of
from smallvision.commands.learning_curve import _find_experiment, _without_other_recipes, choose_limits
from smallvision.core.errors import ParameterError, SurroundingsError
from smallvision.core.params_file import read_params
from tests.conftest import Project, assert_one_line
from tests.pipeline.repository import Repository


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


def test_what_would_fail_later_is_refused_at_once(project: Project):
    result = project.call("smallvision.commands.learning_curve", "--recipes", "baseline", "othre")
    assert_one_line(result, 2, "learning_curve: --recipes: there is no 'othre'; known: baseline, other")
    result = project.call("smallvision.commands.learning_curve", "--limits", "4", "0")
    assert result.returncode == 2
    assert "--limits: expected at least 1, received 0" in result.stderr


def test_an_experiment_counts_as_long_as_its_code_and_parameters_are_those_of_the_moment(project: Project, monkeypatch):
    """An edit of the demo page or of another recipe does not train a point again."""
    monkeypatch.chdir(project.folder)
    repository = Repository(project.folder)
    for name in ("smallvision/training/fitting.py", "smallvision/commands/demo.py", "stages/train.py", "dvc.yaml"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("# as committed\n")
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.commit()
    repository.run("git", "update-ref", "refs/exps/ab/cdef/curve-baseline-4", "HEAD")
    wanted = _without_other_recipes(read_params())
    commit = repository.run("git", "rev-parse", "HEAD").strip()
    assert _find_experiment("curve-baseline-4", wanted) == commit
    assert _find_experiment("curve-baseline-5", wanted) is None
    for name, expected in (
        ("smallvision/commands/demo.py", commit),
        ("smallvision/training/fitting.py", None),
        ("stages/train.py", None),
        ("dvc.yaml", None),
    ):
        with (project.folder / name).open("a") as file:
            file.write("# edited\n")
        assert _find_experiment("curve-baseline-4", wanted) == expected, name
        repository.run("git", "checkout", "--quiet", "--", name)
    repository.change(**{"recipes.other.epochs": 7})
    assert _find_experiment("curve-baseline-4", _without_other_recipes(read_params())) == commit
    repository.change(lr=1e-3)
    assert _find_experiment("curve-baseline-4", _without_other_recipes(read_params())) is None


def test_a_program_that_is_not_there_or_fails_is_named():
    assert output_of("git", "--version").startswith("git version")
    with pytest.raises(SurroundingsError, match=r"`no-such-program now`: not found"):
        output_of("no-such-program", "now")
    with pytest.raises(SurroundingsError, match=r"`git no-such-command` failed"):
        output_of("git", "no-such-command")
