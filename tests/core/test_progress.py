"""How far a long piece of work is stands on a terminal as a bar, and elsewhere as a line now and then."""

import os
import pty
import subprocess
import sys

import pytest

from smallvision.core import progress
from smallvision.core.errors import duration
from smallvision.core.progress import show_progress
from tests.conftest import ROOT


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


def test_on_a_terminal_a_bar_says_what_it_goes_over():
    code = (
        "import time\nfrom smallvision.core.progress import show_progress\n"
        "for _ in show_progress(range(3), 'test pictures', 3): time.sleep(0.2)\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, cwd=ROOT)
    assert process.wait() == 0
    shown = os.read(ours, 100_000)
    os.close(theirs)
    os.close(ours)
    assert b"test pictures:" in shown
    assert b"/3 [" in shown


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
