"""The rows that DVC draws, the sheets of pictures, and the page that shows them in a real browser."""

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from smallvision.core.errors import shorten
from smallvision.evaluation import curves
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.gallery import draw_heat, draw_mistakes, lay_over
from smallvision.evaluation.scores import class_rows
from stages.evaluate import print_classes
from tests.conftest import ROOT, jpeg, write_zip
from tests.house.test_structure import PIPELINE
from tests.pipeline.test_pipeline import SMALL, make_repository

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


def make_answers(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, in which every class occurs, and probabilities that are right more often than not."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    logits = rng.normal(0, 1, (count, classes))
    logits[np.arange(count), labels] += 2
    rows = np.exp(logits)
    return labels, rows / rows.sum(axis=1, keepdims=True)


ANSWERS = st.integers(2, 12).flatmap(
    lambda classes: st.builds(make_answers, st.integers(2 * classes, 300), st.just(classes), st.integers(0, 999))
)


def names(probabilities: np.ndarray) -> list[str]:
    return [f"class {index}" for index in range(probabilities.shape[1])]


@settings(max_examples=20, deadline=None)
@given(ANSWERS)
def test_confusion_counts_every_picture_once(answers):
    labels, rows = answers
    counted = curves.confusion_rows(labels, rows, names(rows))
    assert len(counted) == rows.shape[1] ** 2
    assert sum(row[2] for row in counted) == len(labels)
    assert sum(row[2] for row in counted if row[0] == row[1]) == (rows.argmax(axis=1) == labels).sum()
    for name in names(rows):
        assert sum(row[3] for row in counted if row[0] == name) == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(ANSWERS)
def test_roc_has_the_area_it_names(answers):
    labels, rows = answers
    points = curves.roc_rows(labels, rows, names(rows))
    for index in range(1 if rows.shape[1] == 2 else 0, rows.shape[1]):
        _, areas, false, true = zip(*(row for row in points if row[0] == f"class {index}"), strict=True)
        assert areas[0] == pytest.approx(roc_auc_score(labels == index, rows[:, index]))
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(true, false) == pytest.approx(areas[0], abs=0.02)


def test_threshold_by_hand():
    labels, of_second = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9])
    rows = curves.threshold_rows(labels, np.stack([1 - of_second, of_second], axis=1), ["cat", "dog"])
    found = {round(row[1], 2): row[2:] for row in rows}
    assert {row[0] for row in rows} == {"dog"}
    assert found[0.0] == (0.5, 0.5, 1)
    assert found[0.5] == (0.75, pytest.approx(2 / 3), 1)  # what has it just reaches it
    assert found[0.51] == (0.5, 0.5, 0.5)
    assert found[0.7] == (0.75, 1, 0.5)
    assert found[1.0] == (0.5, None, 0)


def test_accuracy_against_the_rest_is_left_out_where_the_rest_is_most():
    labels, rows = make_answers(90, 3)
    assert {row[2] for row in curves.threshold_rows(labels, rows, names(rows))} == {None}


@settings(max_examples=20, deadline=None)
@given(ANSWERS)
def test_rejection_ends_at_the_accuracy_of_all(answers):
    labels, rows = answers
    points = curves.rejection_rows(labels, rows)
    answered, accuracy, confidence = zip(*points, strict=True)
    assert answered[-1] == 1
    assert accuracy[-1] == pytest.approx((rows.argmax(axis=1) == labels).mean())
    assert list(answered) == sorted(answered)
    assert list(confidence) == sorted(confidence, reverse=True)


@settings(max_examples=20, deadline=None)
@given(ANSWERS)
def test_reliability_splits_the_pictures_into_bins(answers):
    labels, rows = answers
    bins = curves.reliability_rows(labels, rows)
    assert sum(row[4] for row in bins) == len(labels)
    assert sum(row[1] * row[4] for row in bins) == pytest.approx((rows.argmax(axis=1) == labels).sum())
    for confidence, accuracy, low, high, _, start, end in bins:
        assert start - 1e-9 <= confidence <= end + 1e-9
        assert low - 1e-9 <= accuracy <= high + 1e-9


def test_many_pictures_make_no_more_rows():
    labels, rows = make_answers(20_000, 4)
    assert len(curves.roc_rows(labels, rows, names(rows))) <= 4 * curves.POINTS
    assert len(curves.threshold_rows(labels, rows, names(rows))) == 4 * curves.POINTS
    assert len(curves.rejection_rows(labels, rows)) <= curves.POINTS
    assert len(curves.reliability_rows(labels, rows)) <= 15


def fields(spec: object) -> set[str]:
    """The columns that a Vega-Lite specification reads: named by `field`, and not made by itself."""
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
    return found - made - {"x", "y"}  # of a diagonal


def test_templates_read_columns_that_are_there(tmp_path):
    labels, rows = make_answers(60, 3)
    curves.write_curves(tmp_path, labels, rows, names(rows))
    plots = [next(iter(plot.values())) for plot in PIPELINE["plots"]]
    used = {plot["template"] for plot in plots if plot}
    templates = {path.stem: json.loads(path.read_text()) for path in (ROOT / ".dvc/plots").glob("*.json")}
    assert used == set(templates)
    for plot in filter(None, plots):
        (file, columns), template = *plot["y"].items(), plot["template"]
        if template == "learning":  # whose file is train's
            continue
        with (tmp_path / file.rsplit("/", 1)[1]).open() as lines:
            header = next(csv.reader(lines))
        assert {plot["x"], columns} <= set(header)
        assert fields(templates[template]) <= {*header, "rev"}, template


def test_colours_of_templates_are_told_apart_by_everyone():
    """Okabe and Ito's, and what is as good without colours: greys, and one hue from white to dark."""
    palette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#888", "#08306b"}
    for path in (ROOT / ".dvc/plots").glob("*.json"):
        assert set(re.findall(r'"(#\w+)"', path.read_text().lower())) <= palette, path


def test_worst_mistakes_are_the_surest_ones():
    rows = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.45, 0.55]])
    answers = Answers("abcde", np.array([1, 1, 0, 0, 0]), rows, ["cat", "dog"])
    assert list(answers.worst_mistakes(9)) == [0, 3, 2, 4]
    assert list(answers.worst_mistakes(2)) == [0, 3]
    assert answers.caption(0) == "is dog\nsaid cat 90.0%\na"


def test_right_ones_are_taken_from_each_class_in_turn():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    answers = Answers("abcdefg", labels, np.eye(3)[labels], ["cat", "dog", "owl"])
    assert list(answers.some_right(5)) == [0, 1, 4, 5, 6]
    assert list(answers.some_right(99)) == list(range(7))


@given(st.text(), st.integers(3, 40))
def test_a_shortened_name_is_one_line_of_that_length(text, length):
    short = shorten(text, length)
    assert len(short) <= length
    assert short.isprintable()


@pytest.mark.parametrize("classes", [2, 10])
def test_sheets_take_any_name(tmp_path, classes):
    labels, rows = make_answers(40, classes)
    files = [HOSTILE[index % len(HOSTILE)] for index in range(40)]
    answers = Answers(files, labels, rows, HOSTILE[:classes])
    worst, right = answers.worst_mistakes(12), answers.some_right(5)
    pictures = np.random.default_rng(0).integers(0, 256, (40, 9, 9, 3), np.uint8)
    for name in ("one", "two"):
        draw_mistakes(tmp_path / f"{name}.png", answers.of(worst), pictures[worst])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as sheet:
        assert sheet.width == 1090
        # Of names, however long, nothing is written beyond the right edge of the last picture.
        assert (np.asarray(sheet.convert("L"))[:, -10:] == 255).all()
    chosen = np.concatenate([right, worst])
    draw_heat(tmp_path / "heat.png", answers.of(chosen), pictures[chosen], np.zeros((len(chosen), 9, 9)))


def test_without_mistakes_the_sheet_says_so(tmp_path):
    answers = Answers("ab", np.array([0, 1]), np.eye(2), ["cat", "dog"])
    nothing = np.array([], int)
    draw_mistakes(tmp_path / "none.png", answers.of(nothing), np.empty((0, 9, 9, 3), np.uint8))
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


@pytest.mark.parametrize(("classes", "lines"), [(2, 3), (20, 21), (50, 22)])
def test_the_table_of_classes_fits_a_terminal(capsys, tmp_path, classes, lines):
    labels, rows = make_answers(500, classes)
    longest = [f"{index} {'x' * 100}" for index in range(classes)]
    print_classes(class_rows(labels, rows, longest), tmp_path.with_name("metrics") / "classes.csv")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert max(len(line) for line in printed[:21]) <= 80
    assert classes < 50 or printed[-1].startswith("the 20 of 50 classes with the lowest recall; all of them: ")


needs_chromium = pytest.mark.skipif(
    not shutil.which("chromium"), reason="no chromium here; on Debian: apt-get install chromium"
)
# Leaves how wide the pictures are where --dump-dom shows it.
INSPECT = "<script>onload = () => document.title = [...document.images].map(image => image.naturalWidth)</script>"


def open_page(page, profile) -> str:
    """Return what becomes of a page in Chromium."""
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    options += f" disable-component-update disable-sync user-data-dir={profile} virtual-time-budget=20000 dump-dom"
    command = ["chromium", *(f"--{option}" for option in options.split(" "))]
    return subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=180, check=True).stdout


@pytest.mark.slow
@needs_chromium
def test_the_page_is_drawn_without_a_network(tmp_path):
    members = {
        f"{label}/{index}.jpg": jpeg(100 * place + index)
        for place, label in enumerate(("$cat$", "Hund & <b>", "owl"))
        for index in range(8)
    }
    (tmp_path / "project").mkdir()
    repository = make_repository(tmp_path / "project", write_zip(tmp_path / "pictures.zip", members), **SMALL)
    vega = repository.folder / ".dvc/plots/vega.js"
    vega.write_text(vl_convert.javascript_bundle(vl_version="5.21"), encoding="utf-8")
    repository.run("dvc", "repro")
    repository.run("dvc", "plots", "show")
    page = repository.folder / "dvc_plots/index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{INSPECT}</body>"), encoding="utf-8")
    drawn = open_page(page, tmp_path / "profile")
    assert "<title>675,1075,1090</title>" in drawn
    assert drawn.count("cdn.jsdelivr.net/npm/vega@") == 1  # kept aside in the template
    plots = re.findall(r'<svg[^>]*class="marks".*?</svg>', drawn, re.S)
    assert len(plots) == 8
    for plot in plots:
        assert re.search(r'class="mark-(line|symbol|rect)[^>]*><path [^>]*d="M', plot), plot[:300]
    for name in ("$cat$", "Hund &amp; &lt;b&gt;", "owl"):
        assert sum(name in plot for plot in plots) == 4  # confusion, classes, ROC, threshold

    vega.unlink()  # as if the page was moved
    assert open_page(page, tmp_path / "another").count("cdn.jsdelivr.net/npm/vega@") == 2
