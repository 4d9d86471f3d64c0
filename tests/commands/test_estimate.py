"""`smallvision estimate` times a few steps and says how long the pipeline will take here."""

import re
from dataclasses import replace

import pytest

from smallvision.commands import estimate
from smallvision.commands.estimate import Costs, Counts, count_pictures, training_seconds
from smallvision.core.params import Split
from smallvision.core.params_file import read_params
from smallvision.data.pictures.manifest import read_manifest
from smallvision.training.plan import resolve
from tests.conftest import ROOT, Project

PARAMS = read_params(ROOT / "params.yaml")
COUNTS = Counts(train=100, validation=50, test=50, classes=2)


def plan_of(recipe):
    return resolve(PARAMS.model_copy(update={"recipe": recipe}))


def test_drawn_pictures_are_counted_before_they_are_drawn(tmp_path):
    assert count_pictures(PARAMS, tmp_path) == Counts(2000, 1000, 1000, 2)
    three = PARAMS.model_copy(update={"source": "drawn3", "train_limit": 10})
    assert count_pictures(three, tmp_path) == Counts(30, 1500, 1500, 3)
    shares = three.model_copy(update={"split": Split(train=0.5, validation=0.2, test=0.3), "train_limit": None})
    assert count_pictures(shares, tmp_path) == Counts(1425, 570, 855, 3)


def test_other_pictures_are_counted_once_they_are_split(trained_once, tmp_path):
    own = PARAMS.model_copy(update={"source": "my-pictures"})
    assert count_pictures(own, tmp_path) is None
    assert count_pictures(own, trained_once.pictures) is None  # they are of another source
    theirs = read_manifest(trained_once.pictures / "manifest.json").source
    found = count_pictures(PARAMS.model_copy(update={"source": f"/somewhere/{theirs}"}), trained_once.pictures)
    assert found.classes == 2
    assert found.train > found.test > 0


def test_a_training_from_scratch_takes_its_epochs():
    costs = Costs(step=0.01, answer=0.002)
    assert training_seconds(plan_of("baseline"), COUNTS, costs) == pytest.approx(30 * (100 * 0.01 + 50 * 0.002))


def test_a_frozen_base_sees_each_picture_and_its_mirror_image_once():
    costs = Costs(features=0.01)
    assert training_seconds(plan_of("extracted"), COUNTS, costs) == pytest.approx(300 * 0.01)
    plain = plan_of("extracted")
    plain = replace(plain, recipe=plain.recipe.model_copy(update={"mirror": False, "mirror_test": False}))
    assert training_seconds(plain, COUNTS, costs) == pytest.approx(150 * 0.01)


def test_fine_tuning_takes_the_features_and_then_its_own_epochs():
    costs = Costs(step=0.1, answer=0.02, features=0.01)
    expected = 300 * 0.01 + 6 * (100 * 0.1 + 50 * 0.02)
    assert training_seconds(plan_of("finetuned"), COUNTS, costs) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("baseline", ["image_size=64", "batch_size=2"]),
        ("extracted", ["recipes.extracted.image_size=64"]),
        ("finetuned", ["recipes.finetuned.image_size=64", "recipes.finetuned.batch_size=2"]),
    ],
)
def test_every_kind_of_recipe_is_estimated(recipe, settings, project: Project, capfd, monkeypatch):
    (project.folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(estimate, "STEPS", 1)
    estimate.main([word for setting in (f"recipe={recipe}", *settings) for word in ("-S", setting)])
    parts = r"\(draw and split .+, train .+, evaluate .+\)"
    pattern = rf"estimate: {recipe} on drawn: about [\d hmins]+ here if all of it runs {parts}"
    assert re.fullmatch(pattern, capfd.readouterr().out.splitlines()[-1])
