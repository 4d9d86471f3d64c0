"""The rows that DVC draws."""

import csv
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallvision.evaluation import curves
from smallvision.evaluation.answers import Answers
from tests.conftest import ROOT
from tests.evaluation.conftest import make_answers
from tests.house.test_structure import PIPELINE

ANSWERS = st.integers(2, 12).flatmap(
    lambda classes: st.builds(make_answers, st.integers(2 * classes, 300), st.just(classes), st.integers(0, 999))
)


@settings(max_examples=20)
@given(ANSWERS)
def test_confusion_counts_every_picture_once(answers):
    counted = curves.confusion_table(answers).rows
    assert len(counted) == len(answers.classes) ** 2
    assert sum(row[2] for row in counted) == len(answers.labels)
    assert sum(row[2] for row in counted if row[0] == row[1]) == answers.is_right.sum()
    for name in answers.classes:
        assert sum(row[3] for row in counted if row[0] == name) == pytest.approx(1)


@settings(max_examples=20)
@given(ANSWERS)
def test_roc_has_the_area_it_names(answers):
    points = curves.roc_table(answers).rows
    for index in range(1 if len(answers.classes) == 2 else 0, len(answers.classes)):
        _, areas, false, true = zip(*(row for row in points if row[0] == f"class {index}"), strict=True)
        is_it, of_it = answers.labels == index, answers.probabilities[:, index]
        above = of_it[is_it][:, None] - of_it[~is_it]  # the area is the share of pairs in the right order
        assert areas[0] == pytest.approx(((above > 0) + (above == 0) / 2).mean())
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(true, false) == pytest.approx(areas[0], abs=0.02)


def test_threshold_by_hand():
    labels, of_second = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9])
    answers = Answers(labels, np.stack([1 - of_second, of_second], axis=1), ["cat", "dog"])
    rows = curves.threshold_table(answers).rows
    found = {round(row[1], 2): row[2:] for row in rows}
    assert {row[0] for row in rows} == {"dog"}
    assert found[0.0] == (0.5, 0.5, 1)
    assert found[0.5] == (0.75, pytest.approx(2 / 3), 1)  # a probability that equals the threshold reaches it
    assert found[0.51] == (0.5, 0.5, 0.5)
    assert found[0.7] == (0.75, 1, 0.5)
    assert found[1.0] == (0.5, None, 0)


def test_accuracy_against_the_rest_is_left_out_where_the_rest_is_most():
    assert {row[2] for row in curves.threshold_table(make_answers(90, 3)).rows} == {None}


@settings(max_examples=20)
@given(ANSWERS)
def test_rejection_ends_at_the_accuracy_of_all(answers):
    answered, accuracy, confidence = zip(*curves.rejection_table(answers).rows, strict=True)
    assert answered[-1] == 1
    assert accuracy[-1] == pytest.approx(answers.is_right.mean())
    assert list(answered) == sorted(answered)
    assert list(confidence) == sorted(confidence, reverse=True)


@settings(max_examples=20)
@given(ANSWERS)
def test_reliability_splits_the_pictures_into_bins(answers):
    bins = curves.reliability_table(answers).rows
    assert sum(row[4] for row in bins) == len(answers.labels)
    assert sum(row[1] * row[4] for row in bins) == pytest.approx(answers.is_right.sum())
    for confidence, accuracy, low, high, _, start, end in bins:
        assert start - 1e-9 <= confidence <= end + 1e-9
        assert low - 1e-9 <= accuracy <= high + 1e-9


def test_many_pictures_make_no_more_rows():
    answers = make_answers(20_000, 4)
    assert len(curves.roc_table(answers).rows) <= 4 * curves.POINTS
    assert len(curves.threshold_table(answers).rows) == 4 * curves.POINTS
    assert len(curves.rejection_table(answers).rows) <= curves.POINTS
    assert len(curves.reliability_table(answers).rows) <= 15


def fields(spec: object) -> set[str]:
    """The columns that a Vega-Lite specification reads: those that `field` names and that it does not make itself."""
    found, made = set(), set()

    def visit(value: object) -> None:
        if isinstance(value, dict):
            found.update(name for key, name in value.items() if key == "field" and isinstance(name, str))
            made.update(name for key in ("as",) if key in value for name in np.atleast_1d(value[key]))
            for inner in value.values():
                if inner is not spec["data"]:
                    visit(inner)
        elif isinstance(value, list):
            for inner in value:
                visit(inner)

    visit(spec)
    return found - made - {"x", "y"}  # those two are a diagonal's


def test_templates_read_columns_that_are_there(tmp_path):
    curves.write_curves(tmp_path, make_answers(60, 3))
    plots = [next(iter(plot.values())) for plot in PIPELINE["plots"]]
    used = {plot["template"] for plot in plots if plot}
    templates = {path.stem: json.loads(path.read_text()) for path in (ROOT / ".dvc/plots").glob("*.json")}
    assert used == set(templates)
    for plot in filter(None, plots):
        (file, columns), template = *plot["y"].items(), plot["template"]
        if template == "learning":  # `train` writes its file
            continue
        with (tmp_path / file.rsplit("/", 1)[1]).open() as lines:
            header = next(csv.reader(lines))
        assert {plot["x"], columns} <= set(header)
        assert fields(templates[template]) <= {*header, "rev"}, template


def test_colours_of_templates_are_told_apart_by_everyone():
    """They are Okabe and Ito's, or can be read without colours: greys, and one hue from white to dark."""
    palette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#888", "#08306b"}
    for path in (ROOT / ".dvc/plots").glob("*.json"):
        assert set(re.findall(r'"(#\w+)"', path.read_text().lower())) <= palette, path
