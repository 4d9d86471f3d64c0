"""Answers can be compared, and selected."""

import numpy as np

from tests.evaluation.conftest import make_answers


def test_answers_are_equal_only_to_themselves():
    """Comparing their arrays would raise an error, because the truth value of an array is not defined."""
    answers = make_answers(6, 2)
    assert answers == answers
    assert answers != make_answers(6, 2)


def test_answers_about_chosen_pictures():
    answers = make_answers(6, 3)
    few = answers.select(np.array([4, 1]))
    assert few.labels.tolist() == [answers.labels[4], answers.labels[1]]
    assert np.array_equal(few.probabilities, answers.probabilities[[4, 1]])
    assert few.classes == answers.classes
