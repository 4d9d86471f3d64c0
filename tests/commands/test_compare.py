"""`smallvision compare` in a Git repository; the statistics are tested in tests/evaluation/test_intervals.py."""

import csv
import json

import pytest
from dvc.repo import Repo
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smallvision.commands.compare import count_pairs, format_table, summarise
from smallvision.core.errors import ParameterError
from smallvision.evaluation.intervals import Pairs
from tests.conftest import Project, assert_one_line
from tests.pipeline.repository import Repository

COMPARE = "smallvision.commands.compare"


@settings(max_examples=30)
@given(st.builds(Pairs, *[st.integers(0, 300)] * 4), *[st.text(min_size=1, max_size=50)] * 2)
def test_the_table_fits_a_terminal(pairs, rev_a, rev_b):
    assume(pairs.n)
    lines = format_table(rev_a, rev_b, summarise(pairs)).splitlines()
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
    """Revisions without predictions, with them, with others under the same names, and a changed workspace."""
    folder = tmp_path_factory.mktemp("project")
    project, repository = Project(folder), Repository(folder)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    Repo.init(str(folder)).close()
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
    ("revs", "code", "words"),
    [
        (("first", "fewer"), 3, "first was tested on 4 pictures, fewer on 1, of which 1 are the same"),
        (("first", "others"), 3, "of which 0 are the same"),
        (("first", "empty"), 3, "empty: has no metrics/plots/predictions.csv"),
        (("nowhere", "first"), 2, "nowhere: unknown; expected a Git revision, an experiment"),
    ],
)
def test_what_cannot_be_compared_is_one_line(history: Project, revs, code, words):
    assert_one_line(history.call(COMPARE, *revs), code, "compare: ", words)


def test_outside_of_a_project_it_says_where_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="run this in the project's folder"):
        count_pairs("HEAD", "HEAD")


def test_revisions_and_the_workspace_are_compared(history: Project, monkeypatch):
    monkeypatch.chdir(history.folder)
    assert count_pairs("first", "workspace") == Pairs(both=1, only_a=1, only_b=2, neither=0)
    assert count_pairs("workspace", "first") == Pairs(both=1, only_a=2, only_b=1, neither=0)


def test_the_command_answers_as_a_table_and_as_json(history: Project):
    result = history.call(COMPARE, "--json", "first", "workspace")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert (answer["a"], answer["b"], answer["n"]) == ("first", "workspace", 4)
    assert (answer["both"], answer["only_a"], answer["only_b"], answer["neither"]) == (1, 1, 2, 0)
    assert (answer["acc_a"], answer["acc_b"], answer["difference"], answer["p"]) == (0.5, 0.75, 0.25, 1)
    assert answer["difference_low"] < 0.25 < answer["difference_high"]
    assert "B  workspace" in history.call(COMPARE, "first", "workspace").stdout
