"""From two classes to many, balanced or not: labels, weights, and every kind of recipe."""

import csv
import json
import unicodedata
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from smallvision.core.errors import InputError
from smallvision.core.params import Augment
from smallvision.data.sources.archives import open_pictures
from smallvision.training.balance import balanced_weights, weigher
from smallvision.training.checkpoints import Checkpoints
from smallvision.training.fitting import fit
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, write_zip
from tests.training.test_checkpoints import assert_equal, end_after
from tests.training.test_fitting import tiny
from tests.training.test_transfer import make_base

OPTIONS = {"batch_size": 8, "lr": 1e-3, "seed": 7, "precision": "float32"}
SHARES = "train: 0.6, validation: 0.2, test: 0.2"


def class_folders(counts):
    """Class folders with these many pictures of each class."""
    numbers = iter(range(10_000))
    return {f"{label}/{n}.jpg": jpeg(next(numbers)) for label, count in counts.items() for n in range(count)}


def unbalanced(counts):
    """Noise of another brightness for each class, and its labels."""
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(3).integers(0, 90, (len(labels), 46, 46, 3))
    return (noise + labels[:, None, None, None] * (150 // (len(counts) - 1))).astype(np.uint8), labels


def test_balanced_weights_make_every_class_count_alike():
    labels = np.repeat([0, 1, 2], [30, 15, 5])
    weights = balanced_weights(labels)
    assert weights == pytest.approx({0: 50 / 90, 1: 50 / 45, 2: 50 / 15})
    assert sum(weights[label] for label in labels) == pytest.approx(len(labels))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_mixed_pictures_loss_is_the_mean_of_its_classes_weighted_losses(classes):
    rng = np.random.default_rng(4)
    weights = dict(enumerate(rng.uniform(0.2, 3, classes).tolist()))
    probabilities = rng.dirichlet(np.ones(classes), 20)
    shares = np.vstack([np.eye(classes), rng.dirichlet(np.ones(classes), 20 - classes)])
    expected = (-shares * np.log(probabilities) @ [weights[index] for index in range(classes)]).mean()
    # As the two networks give and take them: one unit, or one a class.
    loss = keras.losses.BinaryCrossentropy() if classes == 2 else keras.losses.CategoricalCrossentropy()
    given_labels = tf.constant(shares[:, 1:] if classes == 2 else shares, tf.float32)
    predicted = tf.constant(probabilities[:, 1:] if classes == 2 else probabilities, tf.float32)
    _, labels, weight = weigher(weights)(tf.zeros(20), given_labels)
    assert float(loss(labels, predicted, sample_weight=weight)) == pytest.approx(expected, rel=1e-4)


def train(counts=(16, 5, 3), folder=None, validation=None, **options):
    return fit(
        partial(tiny, len(counts), 0.5),
        unbalanced(counts),
        validation or unbalanced([4] * len(counts)),
        checkpoints=folder and Checkpoints(folder),
        **{"epochs": 2} | OPTIONS | options,
    )


@pytest.mark.slow
def test_with_balanced_weights_the_validation_accuracy_is_the_balanced_one():
    counts = (20, 4)
    validation = unbalanced((10, 2))
    weights = balanced_weights(unbalanced(counts)[1])
    result = train(counts, validation=validation, class_weight=weights, epochs=1)
    predicted = result.model.predict(validation[0] / np.float32(255), verbose=0)[:, 0] > 0.5
    assert result.history[0]["val_acc"] == pytest.approx(balanced_accuracy_score(validation[1], predicted), abs=1e-4)
    assert result.history[0]["val_acc"] != pytest.approx(np.mean(validation[1] == predicted), abs=1e-4)


@pytest.mark.parametrize("counts", [(20, 4), pytest.param((16, 5, 3), marks=pytest.mark.slow)])
def test_weights_of_one_change_nothing_and_others_do(counts):
    plain = train(counts)
    same = train(counts, class_weight=dict.fromkeys(range(len(counts)), 1.0))
    other = train(counts, class_weight=balanced_weights(unbalanced(counts)[1]))
    assert [row["loss"] for row in plain.history] == pytest.approx([row["loss"] for row in same.history], rel=1e-5)
    assert plain.history[1]["val_loss"] != other.history[1]["val_loss"]


@pytest.mark.slow
def test_a_class_without_weight_is_not_learned():
    """One step of a network that would otherwise learn the first class: its bias stays."""
    before = train(epochs=1, lr=1e-12).model.layers[-1].bias.numpy()
    after = train(epochs=1, class_weight={0: 1e-12, 1: 1.0, 2: 1.0}).model.layers[-1].bias.numpy()
    plain = train(epochs=1).model.layers[-1].bias.numpy()
    assert (after - before)[0] < 0 < (plain - before)[0]


@pytest.mark.slow
def test_a_weighted_training_goes_on_to_the_same_end(tmp_path):
    options = {"augment": Augment(flip=True, mixup=0.2), "class_weight": {0: 0.5, 1: 1.5, 2: 2.5}}
    whole = train(**options)
    end_after(1, lambda: train(folder=tmp_path, **options))
    assert_equal(train(folder=tmp_path, **options), whole)


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
    answer = project.run("smallvision.commands.predict", "--model", "model.tflite", "--json", "--", str(picture))
    assert set(json.loads(answer.stdout)["probabilities"]) == set(ODD)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Cat", "cat"), (unicodedata.normalize("NFC", "Bär"), unicodedata.normalize("NFD", "Bär"))],
    ids=["case", "accents"],
)
def test_classes_that_are_one_folder_elsewhere_are_refused(tmp_path, one, other):
    members = {f"{one}/1.jpg": jpeg(1), f"{other}/2.jpg": jpeg(2), "dog/3.jpg": jpeg(3)}
    with pytest.raises(InputError, match="rename one") as caught, open_pictures(write_zip(tmp_path / "a.zip", members)):
        pass
    assert str(caught.value).isascii()  # so that the two can be told apart


@pytest.mark.parametrize("count", [2, 3, 12, 40])
def test_any_number_of_classes_is_shared_out(project: Project, count):
    sizes = {f"class {n}": 3 + n % 7 for n in range(count)}
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", SHARES))
    write_zip(project.archive, class_folders(sizes))
    result = project.split()
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(len(line) < 160 for line in lines)
    for number in (0, 1):
        path = project.pictures / "train" / f"class {number}"
        assert len(list(path.iterdir())) == [1, 2][number]


def test_ready_made_subsets_are_pooled_and_shared_out_anew(project: Project):
    members = {f"{subset}/{path}": data for subset in ("test", "train", "validation")
               for path, data in class_folders({"hen": 4, "owl": 2}).items()}  # fmt: skip
    members = {path: jpeg(number) for number, path in enumerate(members)}
    project.write_params(text=PARAMS.replace("train: 4, validation: 2, test: 2", SHARES))
    write_zip(project.archive, members)
    assert project.split().stdout.splitlines() == [
        "split: pictures.zip: hen, owl: 11 train, 4 validation, 3 test",
        "split: train/validation/test: hen 7/3/2, owl 4/1/1",
    ]


@given(st.lists(st.sampled_from(["a", "b", "A", "ä", "a\u0308"]), min_size=2, max_size=5, unique=True))
def test_classes_are_refused_exactly_if_two_are_alike(tmp_path_factory, labels):
    path = write_zip(
        tmp_path_factory.getbasetemp() / "l.zip", {f"{label}/{n}.jpg": b"" for n, label in enumerate(labels)}
    )
    clash = {"a", "A"} <= set(labels) or {"ä", "a\u0308"} <= set(labels)
    if clash:
        with pytest.raises(InputError, match="rename one"), open_pictures(path):
            pass
    else:
        with open_pictures(path) as archive:
            assert list(archive.members) == sorted(labels)


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
def test_every_recipe_takes_three_unbalanced_classes(project: Project, tmp_path, name):
    text = PARAMS.replace("train: 4, validation: 2, test: 2", SHARES)
    text = text.replace("baseline: {{epochs: 1}}", f"baseline: {{{{{RECIPES[name]}}}}}") + "class_weights: balanced\n"
    project.write_params(text=text)
    make_base().save(project.folder / "base.keras")
    write_zip(project.archive, class_folders({"cat": 20, "dog": 10, "emu": 5}))
    stages = [
        ("stages.split", "data/raw/archive.zip", "data/pictures"),
        ("stages.train", "data/pictures", "model.keras", "train.json", "history.csv"),
        ("stages.evaluate", "model.keras", "train.json", "data/pictures", "test.json", "plots"),
    ]
    for command in stages:
        result = project.run(*command, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert (result.returncode, result.stderr) == (0, "")
    metrics = json.loads((project.folder / "test.json").read_text())
    assert metrics["n"] == 7
    assert 0 <= metrics["balanced_acc"] <= 1
    assert classes_in_the_table(project) == {"cat", "dog", "emu"}
    picture = next((project.pictures / "test/emu").iterdir())
    answer = project.run("smallvision.commands.predict", "--model", "model.tflite", "--json", str(picture))
    assert set(json.loads(answer.stdout)["probabilities"]) == {"cat", "dog", "emu"}


def test_unknown_class_weights_are_named(project: Project):
    project.write_params(text=PARAMS + "class_weights: equal\n")
    write_zip(project.archive, class_folders({"a": 1, "b": 1}))
    assert_one_line(project.split(), 2, "params.yaml: class_weights: expected none or balanced, received 'equal'")
