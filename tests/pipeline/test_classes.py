"""From two classes to many, with any names, through every stage and every kind of recipe."""

import csv
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.layouts.reading import read_layout
from smallvision.data.sources.files import open_files
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, write_zip
from tests.training.helpers import make_base

SHARES = "train: 0.6, validation: 0.2, test: 0.2"


def class_folders(counts):
    """Class folders with these many pictures of each class."""
    numbers = iter(range(10_000))
    return {f"{label}/{n}.jpg": jpeg(next(numbers)) for label, count in counts.items() for n in range(count)}


ODD = [
    "con",
    "-rf",
    "a b",
    "Größe",
    "x#1",
    "100%",
    "St. Bernard",
    "<b>",
    "it's",
    '"q"',
    "日本",
    "new\nline",
    "$(x)",
]


def classes_in_the_table(project: Project) -> set[str]:
    with (project.folder / "plots/classes.csv").open(encoding="utf-8", newline="") as file:
        return {row["class"] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_odd_class_names_go_through_every_stage(project: Project):
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", SHARES))
    write_zip(project.archive, class_folders(dict.fromkeys(ODD, 5)))
    for stage in (project.split, project.train, project.evaluate):
        result = stage()
        assert (result.returncode, result.stderr) == (0, "")
    assert classes_in_the_table(project) == set(ODD)
    picture = next((project.pictures / "test/-rf").iterdir())
    answer = project.call("smallvision.commands.predict", "--model", "model.tflite", "--json", "--", str(picture))
    assert set(json.loads(answer.stdout)["probabilities"]) == set(ODD)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Cat", "cat"), (unicodedata.normalize("NFC", "Bär"), unicodedata.normalize("NFD", "Bär"))],
    ids=["case", "accents"],
)
def test_classes_that_are_one_folder_elsewhere_are_refused(tmp_path, one, other):
    members = {f"{one}/1.jpg": jpeg(1), f"{other}/2.jpg": jpeg(2), "dog/3.jpg": jpeg(3)}
    path = write_zip(tmp_path / "a.zip", members)
    with open_files(path) as files, pytest.raises(InputError, match="rename one") as caught:
        read_layout(files)
    assert str(caught.value).isascii()  # only ASCII shows how the two names differ


@pytest.mark.parametrize(
    "count", [2, pytest.param(3, marks=pytest.mark.slow), 12, pytest.param(40, marks=pytest.mark.slow)]
)
def test_any_number_of_classes_is_shared_out(project: Project, count):
    sizes = {f"class {n}": 3 + n % 7 for n in range(count)}
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", SHARES))
    write_zip(project.archive, class_folders(sizes))
    result = project.split()
    assert (result.returncode, result.stderr) == (0, "")
    sizes_line, *lines = result.stdout.splitlines()
    assert sizes_line.startswith("split: pictures.zip: ")
    assert "split: labels from folders" in lines
    assert len(lines) == 3  # the third one says that the classes are counted
    assert all(len(line) < 120 for line in lines)
    for number in (0, 1):
        path = project.pictures / "train" / f"class {number}"
        assert len(list(path.iterdir())) == [1, 2][number]


def test_ready_made_subsets_are_kept_unless_new_ones_are_asked_for(project: Project):
    members = {f"{subset}/{path}": data for subset in ("test", "train", "validation")
               for path, data in class_folders({"hen": 4, "owl": 2}).items()}  # fmt: skip
    members = {path: jpeg(number) for number, path in enumerate(members)}
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", SHARES))
    write_zip(project.archive, members)
    assert project.split().stdout.splitlines() == [
        "split: pictures.zip: hen, owl: 6 train, 6 validation, 6 test",
        "split: train/validation/test: hen 4/4/4, owl 2/2/2",
        "split: labels from folders",
        "split: validation and test come with the pictures",
    ]
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", f"{SHARES}, subsets: new"))
    assert project.split().stdout.splitlines()[:2] == [
        "split: pictures.zip: hen, owl: 11 train, 4 validation, 3 test",
        "split: train/validation/test: hen 7/3/2, owl 4/1/1",
    ]


@given(st.lists(st.sampled_from(["a", "b", "A", "ä", "a\u0308"]), min_size=2, max_size=5, unique=True))
def test_classes_are_refused_exactly_if_two_are_alike(tmp_path_factory, labels):
    path = write_zip(
        tmp_path_factory.getbasetemp() / "l.zip", {f"{label}/{n}.jpg": b"" for n, label in enumerate(labels)}
    )
    clash = {"a", "A"} <= set(labels) or {"ä", "a\u0308"} <= set(labels)
    with open_files(path) as files:
        if clash:
            with pytest.raises(InputError, match="rename one"):
                read_layout(files)
        else:
            assert read_layout(files).classes == sorted(labels)


BASE = "backbone: base.keras, units: 4"
RECIPES = {
    "scratch": "epochs: 2",
    "augmented": "epochs: 2, dropout: 0.5, schedule: cosine, augment: {{rotation: 20, flip: true, mixup: 0.3}}",
    "extracted": f"epochs: 2, {BASE}, mirror: true, mirror_test: true",
    "finetuned": f"epochs: 1, {BASE}, unfreeze: all, finetune_lr: 1.0e-4, finetune_epochs: 1, "
    "augment: {{flip: true, mixup: 0.2}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_three_unbalanced_classes(project: Project, tmp_path, monkeypatch, name):
    text = PARAMS.replace("train: 4, validation: 2, test: 2", SHARES)
    text = text.replace("baseline: {{epochs: 1}}", f"baseline: {{{{{RECIPES[name]}}}}}") + "class_weights: balanced\n"
    project.write_params(text=text)
    make_base().save(project.folder / "base.keras")
    write_zip(project.archive, class_folders({"cat": 20, "dog": 10, "emu": 5}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for stage in (project.split, project.train, project.evaluate):
        result = stage()
        assert (result.returncode, result.stderr) == (0, "")
    metrics = json.loads((project.folder / "test.json").read_text())
    assert metrics["n"] == 7
    assert 0 <= metrics["balanced_acc"] <= 1
    assert classes_in_the_table(project) == {"cat", "dog", "emu"}
    picture = next((project.pictures / "test/emu").iterdir())
    answer = project.call("smallvision.commands.predict", "--model", "model.tflite", "--json", str(picture))
    assert set(json.loads(answer.stdout)["probabilities"]) == {"cat", "dog", "emu"}


def test_unknown_class_weights_are_named(project: Project):
    project.write_params(text=PARAMS + "class_weights: equal\n")
    write_zip(project.archive, class_folders({"a": 1, "b": 1}))
    assert_one_line(project.split(), 2, "params.yaml: class_weights: expected none or balanced, received 'equal'")
