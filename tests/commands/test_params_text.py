"""Values in params.yaml are changed, and nothing else in it is."""

import difflib
from pathlib import Path

import pytest
import ruamel.yaml
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smallvision.commands.params_text import set_values
from smallvision.core.errors import ParameterError
from smallvision.core.params_file import to_yaml
from tests.conftest import ROOT

PATH = Path("params.yaml")
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("  augmented:")[0]
SHORT = """\
source: drawn          # drawn | path
split:                 # pictures per class
  train: 1000
  group: null          # what stays together: '^(.+)_'
  seed: 0              # of the random order
lr: 1.0e-4
"""
FLOW = "# mine\nsource: x\nsplit: {train: 1, test: 3}   # shares\nlr: 1e-4"
SPECIAL = ["", "mes-été", "photos (1).zip", "a,b=c", "it's", "no", "2021", "1e-4", "~", "null", "- x", "a: b", "a #b",
           "{x}", "[1]", "*a", "&b", "!t", "%x", "@y", "`z", "C:\\x", "0x1f", "1_000", "12:30", "2021-05-01", ".inf",
           "=", "<<", "|", ">", "\t", " a", "a ", "x\ny", "\x85", "\ufeffa", "猫", "🐈", '"', "\x7f",
           "\\ \"\n"]  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(SPECIAL)


def changed(old: str, new: str) -> list[tuple[str, str]]:
    """Return the pairs of lines that differ; a line that was added has an empty partner."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    pairs = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            assert kind == "insert" or b - a == d - c, "lines were joined or taken away"
            pairs += zip(before[a:b] or [""] * (d - c), after[c:d], strict=True)
    return pairs


def assert_it_comes_back(original, source, group):
    """Text is the same whoever reads it, and no other line changes."""
    for text in (original, original.replace("\n", "\r\n"), FLOW):
        new = set_values(text, {"source": source, "split.group": group}, PATH)
        # PyYAML reads YAML 1.1, DVC reads and writes YAML 1.2 with ruamel.
        for content in (yaml.safe_load(new), ruamel.yaml.YAML().load(new)):
            assert (content["source"], content["split"]["group"]) == (source, group)
        for before, after in changed(text.replace("\r", ""), new.replace("\r", "")):
            assert before.partition(":")[0] == after.partition(":")[0]
            assert before.partition(" #")[2] == after.partition(" #")[2] or " #" in source + str(group)


@pytest.mark.parametrize("source", SPECIAL)
def test_special_text_comes_back_and_no_other_line_changes(source):
    assert_it_comes_back(SHORT, source, SPECIAL[SPECIAL.index(source) - 1])


@given(source=TEXTS, group=TEXTS | st.none())
@settings(max_examples=20)
def test_any_text_comes_back_and_no_other_line_changes(source, group):
    assert_it_comes_back(SHORT, source, group)


@pytest.mark.slow
@given(source=TEXTS, group=TEXTS | st.none())
def test_any_text_comes_back_in_the_file_that_people_have(source, group):
    assert_it_comes_back(TEXT, source, group)


def test_the_comment_stays_in_its_column_if_there_is_room():
    text = "source: drawn     # where from\nsplit:\n  group:          # who\n"
    assert set_values(text, {"source": "a", "split.group": "folder"}, PATH) == (
        "source: a         # where from\nsplit:\n  group: folder   # who\n"
    )
    assert set_values(text, {"source": "a/long/name.zip"}, PATH).startswith("source: a/long/name.zip # where from\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source: a\nlr: 1\n", "source: a\nlabels: top\nlr: 1\n"),
        ("lr: 1\nother:\n  b: 2 # two\n", "lr: 1\nother:\n  b: 2 # two\nlabels: top\n"),
        ("lr: 1", "lr: 1\nlabels: top\n"),
        ("{lr: 1}", "{lr: 1, labels: top}"),
        ("lr: 1\r\n", "lr: 1\r\nlabels: top\r\n"),
    ],
)
def test_a_missing_key_is_added(text, expected):
    assert set_values(text, {"labels": "top"}, PATH) == expected


def test_a_value_of_several_lines_is_replaced():
    assert set_values("source: |\n  a\nclasses:\n  - a\n  - b\nlr: 1\n", {"source": "b"}, PATH) == (
        "source: b\nclasses:\n  - a\n  - b\nlr: 1\n"
    )
    assert set_values("classes: [a,\n b] # of\nlr: 1\n", {"classes": None}, PATH) == "classes: null    # of\nlr: 1\n"


def test_a_value_that_two_keys_share_is_left_alone():
    with pytest.raises(ParameterError, match=r"params\.yaml: source: this file is too unusual to be changed here"):
        set_values("other: &a x\nsource: *a\n", {"source": "b"}, PATH)


def test_quotes_are_written_only_where_they_are_needed():
    values = ["photos (1).zip", "../a", "~/a", "it's", "no", "2021", 0.7, None]
    written = ["photos (1).zip", "../a", "~/a", "'it''s'", "'no'", "'2021'", "0.7", "null"]
    assert [to_yaml(value) for value in values] == written
