"""How far a long piece of work is stands on a terminal as a bar, and elsewhere as a line now and then."""

import io
import sys

import pytest

from smallvision.core import progress
from smallvision.core.errors import duration
from smallvision.core.progress import show_progress


@pytest.fixture
def clock(monkeypatch):
    """Time passes only when a test says so."""
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def work(clock, count, each):
    for item in show_progress(range(count), "training pictures", count):
        clock[0] += each
        yield item


def test_without_a_terminal_a_line_every_ten_seconds_says_how_long_is_left(clock, capsys):
    assert list(work(clock, 100, 0.5)) == list(range(100))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training pictures: 20 of 100, 40 s left"
    assert lines[-1] == "training pictures: 80 of 100, 10 s left"
    assert len(lines) == 4


def test_short_work_says_nothing(clock, capsys):
    assert list(work(clock, 100, 0.09)) == list(range(100))
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_bar_says_what_it_goes_over(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(show_progress(range(3), "test pictures", 3)) == [0, 1, 2]
    shown = sys.stderr.getvalue()
    assert "test pictures:" in shown
    assert "/3 [" in shown
    assert shown.endswith("\r")  # the bar is gone when the work is done


def test_an_error_in_the_work_comes_through():
    def fail():
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        list(show_progress(fail(), "pictures", 2))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (40.4, "40 s"), (90, "2 min"), (3570, "1 h"), (4800, "1 h 20 min"), (86_400, "24 h")],
)
def test_durations_are_in_words(seconds, words):
    assert duration(seconds) == words
