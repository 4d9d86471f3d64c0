"""The command line of `smallvision sweep`; sweeps on real Ray are in tests/scaling."""

import shutil
import sys

import pytest

from tests.conftest import ROOT, Project, assert_one_line

SWEEP = "smallvision.commands.sweep"
RANGE = ("-S", "lr=tag(log, interval(1e-5, 1e-3))", "-S", "batch_size=4,8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (RANGE, 5, ("ray is not installed", "make setup-sweep")),
        (("-S", "lr=1e-4"), 2, ("nothing to search",)),
        (("-S", "lr=1e-4,abc"), 2, ("params.yaml: lr: expected a valid number",)),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(project: Project, monkeypatch, arguments, code, words):
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the command sets it; pytest takes it back
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("cluster", "tuning", "trial_training"):
        monkeypatch.delitem(sys.modules, f"smallvision.scaling.{name}", raising=False)
    shutil.copy(ROOT / "params.yaml", project.folder)
    assert_one_line(project.call(SWEEP, *arguments), code, *words)


@pytest.mark.parametrize("option", ["--trials=0", "--cpus=0", "--search=grid", "--table=trials.png"])
def test_a_wrong_option_is_refused(project: Project, option):
    result = project.call(SWEEP, *RANGE, option)
    assert result.returncode == 2
    assert option.split("=")[0] in result.stderr
