"""`smallvision evaluate` scores the trained model on labelled pictures in any layout."""

import csv
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from smallvision.core.files import sha256_of
from smallvision.data.pictures.decoding import to_input
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.intervals import wilson
from smallvision.evaluation.scores import confused_pairs, recall_rows
from smallvision.models.inference import predict_probabilities
from smallvision.models.litert import read_litert, write_litert
from tests.commands.test_use import pictures, place
from tests.conftest import Project, assert_one_line, jpeg, write_zip
from tests.networks import CLASSES, write_three_classes

EVALUATE = "smallvision.commands.evaluate"
NOT_NEEDED = {"tensorflow", "keras", "dvc", "sklearn", "requests"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network of the classes ant, bee and cow in LiteRT's format, and its Keras twin."""
    return write_three_classes(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def evaluate_and_draw(classifier, project: Project):
    return lambda *arguments: project.call(EVALUATE, *arguments, "--model", classifier[1])


@pytest.fixture
def evaluate(evaluate_and_draw, monkeypatch):
    """The command without its sheet of mistakes, which takes most of the time."""
    monkeypatch.setattr(f"{EVALUATE}.draw_mistakes", lambda *arguments: None)
    return evaluate_and_draw


def rows_of(project: Project, name: str = "data/evaluation/predictions.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((project.folder / name).read_text(encoding="utf-8").splitlines()))


def test_answers_are_keras_own_and_the_accuracy_is_their_share(classifier, project: Project, evaluate):
    members = pictures(*CLASSES, count=4)
    write_zip(project.folder / "new.zip", members)
    result = evaluate("new.zip")
    assert (result.returncode, result.stderr) == (0, "")
    expected = predict_probabilities(classifier[0], np.stack([to_input(data, 46) for data in members.values()]))
    rows = rows_of(project)
    assert [row["picture"] for row in rows] == list(members)
    for row, probabilities, path in zip(rows, expected, members, strict=True):
        assert [float(row[f"p_{name}"]) for name in CLASSES] == pytest.approx(probabilities, abs=1e-3)
        assert (row["actual"], row["predicted"]) == (path.split("/")[0], CLASSES[probabilities.argmax()])
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert 0 < right < 12
    low, high = wilson(right, 12)
    assert result.stdout.splitlines()[-1] == (
        f"evaluate: r trained on s, on new.zip: accuracy {right / 12:.1%} "
        f"({low:.1%} to {high:.1%} at 95%) of 12 pictures"
    )
    found = rows_of(project, "data/evaluation/classes.csv")
    assert [(row["class"], row["pictures"]) for row in found] == [(name, "4") for name in CLASSES]
    assert np.mean([float(row["recall"]) for row in found]) == pytest.approx(right / 12, abs=1e-4)


def test_the_worst_mistakes_are_drawn_and_the_pairs_named(project: Project, evaluate_and_draw):
    place(project.folder / "new", pictures(*CLASSES))
    text = " ".join(evaluate_and_draw("new", "--to", "out").stdout.split())
    wrong = [row for row in rows_of(project, "out/predictions.csv") if row["actual"] != row["predicted"]]
    pairs = [(row["actual"], row["predicted"]) for row in wrong]
    first = max(pairs, key=pairs.count)
    assert f"evaluate: mistakes: {first[0]} taken for {first[1]} {pairs.count(first)}" in text
    assert "evaluate: out: predictions.csv, classes.csv, mistakes.png" in text
    with Image.open(project.folder / "out/mistakes.png") as sheet:
        assert sheet.height > 250 * -(-len(wrong) // 5)  # five in a row


def test_pictures_of_other_classes_and_unlabelled_or_damaged_ones_are_counted_and_left_out(project: Project, evaluate):
    members = pictures("train/ant", "train/bee", "train/owl", "test/ant", "test/bee", "test/fox")
    place(project.folder / "new", members | {"loose.jpg": jpeg(999), "train/ant/bad.jpg": jpeg(1)[:300], "a.txt": b""})
    text = " ".join(evaluate("new").stdout.split())
    for words in ("subsets play no role here: train 10, test 9", "does not know: 6 (fox 3, owl 3)",
                  "unlabelled: 1 picture, such as loose.jpg", "cannot be read: 1: train/ant/bad.jpg: damaged",
                  "other files: 1 (1 txt)", "no pictures of cow, which the model knows",
                  "of 12 pictures"):  # fmt: skip
        assert words in text, words
    assert {row["actual"] for row in rows_of(project)} == {"ant", "bee"}


def test_a_table_gives_the_labels(project: Project, evaluate):
    labels = "image,kind\n" + "".join(f"{n}.jpg,{CLASSES[n % 3]}\n" for n in range(9))
    place(project.folder / "new", {f"pictures/{n}.jpg": jpeg(n) for n in range(9)} | {"labels.csv": labels.encode()})
    assert "labels from the table labels.csv" in " ".join(evaluate("new", "--labels", "labels.csv:kind").stdout.split())
    assert {row["picture"]: row["actual"] for row in rows_of(project)} == {
        f"pictures/{n}.jpg": CLASSES[n % 3] for n in range(9)
    }


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["BEE"], ["bee"]),
        (["new/ant/2021", "new/ant/2022"], ["ant"]),
        ([f"{place}/{name}" for place in ("farm", "zoo") for name in ("ant", "cow")], ["ant", "cow"]),
    ],
)
def test_the_models_classes_settle_what_folders_leave_open(project: Project, evaluate, folders, expected):
    place(project.folder / "new", pictures(*folders))
    result = evaluate("new")
    assert (result.returncode, result.stderr) == (0, "")
    rows = rows_of(project)
    assert len(rows) == 3 * len(folders)
    assert sorted({row["actual"] for row in rows}) == expected
    assert all(row["actual"] in row["picture"].casefold().split("/") for row in rows)


def test_pictures_that_the_model_was_trained_on_are_told(classifier, project: Project, evaluate):
    place(project.archive, pictures(*CLASSES, count=8))
    assert project.split().returncode == 0
    of_another_split = evaluate("data/pictures")
    assert (of_another_split.returncode, "trained on 1" in of_another_split.stdout) == (0, False)
    with zipfile.ZipFile(classifier[1]) as appended:
        network = classifier[1].read_bytes()[: min(info.header_offset for info in appended.infolist())]
    facts = replace(read_litert(classifier[1])[1], pictures=sha256_of(project.pictures / "manifest.json"))
    write_litert(project.folder / "its.tflite", network, facts)
    told = " ".join(project.call(EVALUATE, "data/pictures", "--model", "its.tflite").stdout.split())
    assert "the model was trained on 18 of these pictures, or chosen by them" in told
    assert "trained on 1" not in project.call(EVALUATE, "data/pictures/test", "--model", "its.tflite").stdout


@pytest.mark.slow
def test_a_trained_model_knows_its_pictures_and_gets_the_accuracy_of_the_stage(trained: Project):
    result = trained.call(EVALUATE, "data/pictures")
    assert "the model was trained on 12 of these pictures, or chosen by them" in " ".join(result.stdout.split())
    test = trained.call(EVALUATE, "data/pictures/test")
    assert "trained on 1" not in test.stdout
    accuracy = (trained.folder / "metrics/test.json").read_text().partition('"acc": ')[2].partition(",")[0]
    assert f"baseline trained on pictures.zip, on test: accuracy {float(accuracy):.1%} (" in test.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 3, "evaluate: nowhere: no such folder or archive"),
        (
            ["pets"],
            3,
            "evaluate: pets: none of its classes is one of the model's; it has cat, dog, the model knows ant,",
        ),
        (["one"], 3, "evaluate: one: no labels; expected"),
        (["bad"], 3, "evaluate: bad: none of 4 pictures can be read: ant/"),
        (["pets", "--labels", "none.csv"], 2, "none.csv"),
        (["pets", "--model", "x.tflite"], 3, "evaluate: x.tflite: not found; `dvc repro train` makes it"),
    ],
)
def test_what_cannot_be_scored_is_one_line(classifier, project: Project, arguments, code, words):
    place(project.folder / "pets", pictures("cat", "dog"))
    place(project.folder / "one", pictures("owl"))
    place(project.folder / "bad", dict.fromkeys(["ant/1.jpg", "ant/2.jpg", "bee/1.jpg", "bee/2.jpg"], b"x"))
    if "--model" not in arguments:
        arguments = [*arguments, "--model", classifier[1]]
    assert_one_line(project.call(EVALUATE, *arguments), code, words)
    assert not (project.folder / "data/evaluation").exists()


def test_neither_tensorflow_nor_another_slow_package_is_asked_for(project: Project, evaluate, monkeypatch):
    """That the modules themselves import none when they are loaded is tested in tests/house."""
    place(project.folder / "new", pictures(*CLASSES))
    for name in NOT_NEEDED | {name for name in sys.modules if name.partition(".")[0] in NOT_NEEDED}:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    result = evaluate("new")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
def test_no_tensorflow_is_imported(classifier, project: Project):
    place(project.folder / "new", pictures(*CLASSES))
    command = ("smallvision", "evaluate", "new", "--model", str(classifier[1]))
    result = project.run(*command, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "ai_edge_litert" in imported
    assert not NOT_NEEDED & imported


def test_rows_hold_up_to_a_count_by_hand():
    probabilities = np.eye(3)[[0, 0, 1, 1, 1, 0]]
    answers = Answers(np.array([0, 0, 0, 0, 1, 1]), probabilities, CLASSES)
    ant, bee = recall_rows(answers)
    assert ant == ("ant", 4, 0.5, *wilson(2, 4))
    assert bee == ("bee", 2, 0.5, *wilson(1, 2))
    assert confused_pairs(answers) == [("ant", "bee", 2), ("bee", "ant", 1)]


def test_lines_fit_a_terminal_but_for_the_last(project: Project, evaluate):
    place(project.folder / ("new" * 40), pictures(*CLASSES, "x" * 90))
    *lines, _ = evaluate("new" * 40).stdout.splitlines()
    assert max(map(len, lines)) <= 79
