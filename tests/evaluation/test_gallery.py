"""The sheets show the right pictures, with the right text below each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smallvision.core.errors import shorten
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.gallery import choose_right, draw_heat, draw_mistakes, lay_over, write_caption
from smallvision.evaluation.scores import rank_mistakes
from tests.evaluation.conftest import make_answers

HOSTILE = [
    "cat",
    "$\\frac{1}{2}$",
    "a\nb.jpg",
    "x" * 240,
    "W" * 60,
    "猫",
    "😀.jpg",
    "<b>&amp;",
    "{scripts}",
    "a.b[c]",
    "",
]


def test_a_caption_says_what_the_picture_is_and_what_it_was_taken_for():
    answers = Answers(np.array([1, 0]), np.array([[0.9, 0.1], [0.4, 0.6]]), ["cat", "dog"])
    assert write_caption(answers, 0, "a.jpg") == "is dog\nsaid cat 90.0%\na.jpg"
    assert write_caption(answers, 1, "b.jpg") == "is cat\nsaid dog 60.0%\nb.jpg"


def test_right_ones_are_taken_from_each_class_in_turn():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    answers = Answers(labels, np.eye(3)[labels], ["cat", "dog", "owl"])
    assert list(choose_right(answers, 5)) == [0, 1, 4, 5, 6]
    assert list(choose_right(answers, 99)) == list(range(7))


@given(st.text(), st.integers(3, 40))
def test_a_shortened_name_is_one_line_of_that_length(text, length):
    short = shorten(text, length)
    assert len(short) <= length
    assert short.isprintable()


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 10])
def test_sheets_take_any_name(tmp_path, classes):
    made = make_answers(40, classes)
    answers = Answers(made.labels, made.probabilities, HOSTILE[:classes])
    names = [HOSTILE[index % len(HOSTILE)] for index in range(40)]
    worst, right = rank_mistakes(answers)[:12], choose_right(answers, 2)
    pictures = np.zeros((40, 9, 9, 3), np.uint8)  # writing colourful ones takes most of the time
    draw_mistakes(tmp_path / "wrong.png", answers.select(worst), [names[i] for i in worst], pictures[worst])
    with Image.open(tmp_path / "wrong.png") as sheet:
        assert sheet.width == 1090
        # However long a name is, nothing is written beyond the right edge of the last picture.
        assert (np.asarray(sheet.convert("L"))[:, -10:] == 255).all()
    chosen = np.concatenate([right, worst[:3]])
    heat = np.zeros((len(chosen), 9, 9))
    draw_heat(tmp_path / "heat.png", answers.select(chosen), [names[i] for i in chosen], pictures[chosen], heat)


def test_equal_sheets_are_equal_files(tmp_path):
    answers = make_answers(3, 2)
    for name in ("one", "two"):
        draw_mistakes(tmp_path / f"{name}.png", answers, ["a.jpg", "b.jpg", "c.jpg"], np.zeros((3, 9, 9, 3), np.uint8))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_without_mistakes_the_sheet_says_so(tmp_path):
    answers = Answers(np.array([], int), np.empty((0, 2)), ["cat", "dog"])
    draw_mistakes(tmp_path / "none.png", answers, [], np.empty((0, 9, 9, 3), np.uint8))
    with Image.open(tmp_path / "none.png") as sheet:
        assert sheet.height == 40
        assert np.asarray(sheet.convert("L")).min() < 100


def test_heat_can_be_read_without_colours():
    heat = np.tile(np.linspace(0, 1, 32), (32, 1))
    for brightness in (0, 128, 255):
        lit = lay_over(np.full((32, 32, 3), brightness, np.uint8), heat)
        grey = np.asarray(Image.fromarray(lit).convert("L"))[0].astype(int)
        assert (np.diff(grey) >= 0).all()
        assert grey[-1] - grey[0] > 120
