"""The statistics of two revisions against numbers worked out otherwise, and the command in a Git repository."""

import csv
import json
import subprocess
import sys
from math import sqrt

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from smallvision.commands.compare import pair, summarise, table
from smallvision.core.errors import InputError, ParameterError
from smallvision.evaluation.intervals import Pairs, difference_interval, mcnemar
from tests.conftest import ROOT, Project, assert_one_line
from tests.pipeline.test_pipeline import Repository

COUNTS = st.builds(Pairs, *[st.integers(0, 300)] * 4)


def test_newcombes_interval_by_hand():
    """20 pictures that both got right, 12 and 2 that one did, 16 that neither did.

    Wilson: 0.64 within 0.5014 and 0.7586, 0.44 within 0.3116 and 0.5769. The margins' product is 354816,
    so phi is (20 * 16 - 12 * 2 - 25) / sqrt(354816) = 0.4550.
    """
    low, high = difference_interval(Pairs(both=20, only_a=2, only_b=12, neither=16))
    assert low == pytest.approx(0.2 - sqrt(0.1386**2 - 2 * 0.4550 * 0.1386 * 0.1369 + 0.1369**2), abs=2e-4)
    assert high == pytest.approx(0.2 + sqrt(0.1186**2 - 2 * 0.4550 * 0.1186 * 0.1284 + 0.1284**2), abs=2e-4)


def test_many_pictures_come_near_the_normal_interval():
    pairs = Pairs(both=60_000, only_a=9_000, only_b=11_000, neither=20_000)
    difference = 2_000 / pairs.n
    margin = 1.96 * sqrt(20_000 - 2_000**2 / pairs.n) / pairs.n
    assert difference_interval(pairs) == pytest.approx((difference - margin, difference + margin), abs=5e-5)


@settings(deadline=None)
@given(COUNTS)
def test_the_interval_holds_the_difference_and_turns_round_with_it(pairs):
    assume(pairs.n)
    low, high = difference_interval(pairs)
    difference = (pairs.only_b - pairs.only_a) / pairs.n
    assert -1 - 1e-9 <= low <= difference + 1e-9
    assert difference - 1e-9 <= high <= 1 + 1e-9
    turned = Pairs(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)
    assert difference_interval(turned) == pytest.approx((-high, -low), abs=1e-9)


def test_mcnemar_counts_the_tails():
    assert mcnemar(Pairs(50, 1, 9, 40)) == pytest.approx(2 * binom.cdf(1, 10, 0.5))
    assert mcnemar(Pairs(50, 0, 0, 40)) == 1


@settings(deadline=None)
@given(COUNTS)
def test_mcnemar_does_not_look_at_what_both_did_alike(pairs):
    p = mcnemar(pairs)
    assert 0 <= p <= 1
    assert p == pytest.approx(mcnemar(Pairs(0, pairs.only_b, pairs.only_a, 7)))


@settings(max_examples=30, deadline=None)
@given(COUNTS, st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_the_table_fits_a_terminal(pairs, rev_a, rev_b):
    assume(pairs.n)
    lines = table(rev_a, rev_b, summarise(pairs)).splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) <= 80


def write_predictions(folder, right: list[bool], hashes: str = "abc") -> None:
    path = folder / "metrics/plots/predictions.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "sha256", "actual", "predicted"])
        for index, is_right in enumerate(right):
            name = f"test/cat/ä,\n{index}.jpg"
            writer.writerow([name, f"{hashes}{index}", "cat", "cat" if is_right else "dog"])


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Project:
    """Revisions without predictions, with them, of other pictures under the same names, and the workspace."""
    folder = tmp_path_factory.mktemp("project")
    project, repository = Project(folder), Repository(folder)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("dvc", "init", "--quiet")
    repository.commit()
    repository.run("git", "tag", "empty")
    for name, right, hashes in (
        ("first", [True, True, False, False], "abc"),
        ("fewer", [True], "abc"),
        ("others", [True, True, False, False], "def"),
    ):
        write_predictions(folder, right, hashes)
        repository.commit()
        repository.run("git", "tag", name)
    write_predictions(folder, [True, False, True, True])
    return project


@pytest.mark.parametrize(
    ("revs", "error", "words"),
    [
        (("first", "fewer"), InputError, "tested on 4 pictures, fewer on 1, of which 1 are the same"),
        (("first", "others"), InputError, "of which 0 are the same"),
        (("first", "empty"), InputError, "empty: has no metrics/plots/predictions.csv"),
        (("nowhere", "first"), ParameterError, "nowhere: unknown; expected a Git revision, an experiment"),
    ],
)
def test_what_cannot_be_compared_is_refused(history: Project, monkeypatch, revs, error, words):
    monkeypatch.chdir(history.folder)
    with pytest.raises(error, match=words):
        pair(*revs)


def test_outside_of_a_project_it_says_where_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="run this in the project's folder"):
        pair("HEAD", "HEAD")


def test_revisions_and_the_workspace_are_compared(history: Project, monkeypatch):
    monkeypatch.chdir(history.folder)
    assert pair("first", "workspace") == Pairs(both=1, only_a=1, only_b=2, neither=0)
    assert pair("workspace", "first") == Pairs(both=1, only_a=2, only_b=1, neither=0)


@pytest.mark.slow
def test_the_command(history: Project):
    result = history.run("smallvision.commands.compare", "--json", "first", "workspace")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["a"], answer["b"], answer["n"]) == ("first", "workspace", 4)
    assert (answer["both"], answer["only_a"], answer["only_b"], answer["neither"]) == (1, 1, 2, 0)
    assert (answer["acc_a"], answer["acc_b"], answer["difference"], answer["p"]) == (0.5, 0.75, 0.25, 1)
    assert answer["difference_low"] < 0.25 < answer["difference_high"]
    result = history.run("smallvision.commands.compare", "first", "workspace")
    assert "B  workspace" in result.stdout
    assert_one_line(history.run("smallvision.commands.compare", "first", "fewer"), 3, "compare: first was tested on 4")
    assert_one_line(history.run("smallvision.commands.compare", "nowhere", "first"), 2, "compare: nowhere: unknown")


def test_help_answers_at_once():
    """SciPy and DVC take seconds to import, so only a comparison does."""
    program = "import sys, smallvision.commands.compare; print([m for m in ('scipy', 'dvc', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
