"""Stage evaluate scores every test picture, and refuses what does not belong together."""

import csv
import json

import pytest

from smallvision.core.files import sha256_of
from smallvision.evaluation.evaluate import print_classes
from smallvision.evaluation.scores import class_rows
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, write_zip
from tests.evaluation.conftest import make_answers


def evaluate(project: Project):
    folders = "data/models", "metrics/train.json", "data/pictures", "metrics/test.json", "metrics/plots"
    return project.call("stages.evaluate", *folders)


def rewrite(path, **changes) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_test_picture_is_scored_once(trained_once: Project):
    folder = trained_once.folder
    metrics = json.loads((folder / "metrics/test.json").read_text())
    rows = list(csv.DictReader((folder / "metrics/plots/predictions.csv").read_text(encoding="utf-8").splitlines()))
    assert metrics["n"] == len(rows) == 4
    facts = json.loads((folder / "data/models/model.json").read_text())
    training = json.loads((folder / "metrics/train.json").read_text())
    assert metrics["model"] == training["model"] == facts["weights"][:12]
    assert metrics["pictures"] == training["pictures"] == sha256_of(trained_once.pictures / "manifest.json")[:12]
    assert [row["actual"] for row in rows] == ["cat", "cat", "dog", "dog"]
    assert metrics["acc"] == sum(row["actual"] == row["predicted"] for row in rows) / 4
    assert [row["picture"] for row in rows] == [
        path.relative_to(trained_once.pictures).as_posix()
        for path in sorted((trained_once.pictures / "test").rglob("*.jpg"))
    ]
    for row in rows:
        assert sha256_of(trained_once.pictures / row["picture"]).startswith(row["sha256"])
        assert float(row["p_cat"]) + float(row["p_dog"]) == pytest.approx(1, abs=2e-6)
        assert (float(row["p_dog"]) > float(row["p_cat"])) == (row["predicted"] == "dog")
    assert metrics["acc_low"] < metrics["acc"] < metrics["acc_high"] or metrics["acc"] in (0, 1)


def test_the_model_card_names_the_model_and_its_score(trained_once: Project):
    text = (trained_once.folder / "data/models/README.md").read_text(encoding="utf-8")
    metrics = json.loads((trained_once.folder / "metrics/test.json").read_text())
    assert json.loads((trained_once.folder / "data/models/model.json").read_text())["weights"] in text
    assert f"| test accuracy | {metrics['acc']} |" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "0123456789ab"}, "metrics/train.json: its model 0123456789ab is not the "),
        ({"pictures": "0123456789ab"}, "metrics/train.json: its pictures 0123456789ab is not the "),
        (None, "metrics/train.json: names no model, as of a training that has not ended; `dvc repro` goes on"),
    ],
)
def test_metrics_of_another_model_are_refused(trained: Project, change, message):
    before = (trained.folder / "metrics/test.json").read_text()
    if change:
        rewrite(trained.folder / "metrics/train.json", **change)
    else:
        (trained.folder / "metrics/train.json").write_text("{}")
    assert_one_line(evaluate(trained), 3, f"evaluate: {message}")
    assert (trained.folder / "metrics/test.json").read_text() == before


def test_a_model_of_another_split_is_refused(trained: Project):
    trained.write_params(text=PARAMS.replace("train: 4", "train: 3"))
    assert trained.split().returncode == 0
    assert_one_line(evaluate(trained), 3, "model.keras: trained on another split", "`dvc repro` trains again")


def test_a_model_of_other_classes_is_refused(trained: Project):
    labels = ("hen", "owl")
    members = {f"{label}/{n}.jpg": jpeg(n + 50 * place) for place, label in enumerate(labels) for n in range(8)}
    write_zip(trained.archive, members)
    assert trained.split().returncode == 0
    message = "data/models/model.keras: knows cat, dog, the pictures show hen, owl; `dvc repro`"
    assert_one_line(evaluate(trained), 3, message)


def test_a_test_set_without_a_class_is_refused(trained: Project):
    manifest = trained.pictures / "manifest.json"
    rows = json.loads(manifest.read_text())["pictures"]
    rewrite(manifest, pictures=[row for row in rows if (row["subset"], row["label"]) != ("test", "dog")])
    pictures = sha256_of(manifest)
    rewrite(trained.folder / "data/models/model.json", pictures=pictures)
    rewrite(trained.folder / "metrics/train.json", pictures=pictures[:12])
    assert_one_line(evaluate(trained), 3, "data/pictures: no test pictures of dog; `dvc repro -f split`")


def test_a_test_picture_that_changed_after_the_split_is_named(trained: Project):
    victim = next((trained.pictures / "test/dog").iterdir())
    victim.write_bytes(jpeg(77))
    assert_one_line(evaluate(trained), 3, f"data/pictures/test/dog/{victim.name}: changed since `split` wrote it")


@pytest.mark.parametrize(("classes", "lines"), [(2, 3), (20, 21), (50, 22)])
def test_the_table_of_classes_fits_a_terminal(capsys, tmp_path, classes, lines):
    rows = [row._replace(name=f"{row.name} {'x' * 100}") for row in class_rows(make_answers(500, classes))]
    print_classes(rows, tmp_path.with_name("metrics") / "classes.csv")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert max(len(line) for line in printed[:21]) <= 80
    assert classes < 50 or printed[-1].startswith("the 20 of 50 classes with the lowest recall; all of them: ")
