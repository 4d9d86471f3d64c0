"""The plan of a training is complete and typed. tests/house/test_rooms.py checks that it needs no TensorFlow."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

from smallvision.core.params import Params, Recipe
from smallvision.core.params_file import read_params
from smallvision.training.plan import Plan, resolve
from tests.conftest import ROOT


def params_with(recipe: str, own: dict[str, object] | None = None, **changes: object) -> Params:
    params = read_params(ROOT / "params.yaml")
    recipes = {recipe: Recipe.model_validate(params.recipes[recipe].model_dump(exclude_unset=True) | (own or {}))}
    return params.model_copy(update={"recipe": recipe, "recipes": recipes} | changes)


def test_a_recipe_goes_before_the_general_values():
    plain = resolve(params_with("baseline", image_size=100, batch_size=9, lr=0.5, seed=3, train_limit=7))
    assert (plain.image_size, plain.batch_size, plain.lr, plain.seed, plain.train_limit) == (100, 9, 0.5, 3, 7)
    own = {"image_size": 64, "batch_size": 5, "lr": 0.25}
    plan = resolve(params_with("baseline", own, image_size=100, batch_size=9, lr=0.5))
    assert (plan.image_size, plan.batch_size, plan.lr) == (64, 5, 0.25)
    assert (plan.augment, plan.class_weights) == (None, "none")
    with pytest.raises(ValueError, match="baseline has no second phase"):
        plan.second_phase()
    assert resolve(params_with("baseline", class_weights="balanced")).class_weights == "balanced"


def test_a_pretrained_base_has_its_own_size_and_float32():
    plan = resolve(params_with("finetuned", precision="bfloat16", image_size=100))
    assert (plan.image_size, plan.precision) == (224, "float32")
    second = plan.second_phase()
    assert (second.lr, second.epochs) == (plan.recipe.finetune_lr, plan.recipe.finetune_epochs)
    assert resolve(params_with("residual", precision="bfloat16")).precision == "bfloat16"


def test_a_plan_says_all_that_the_parameters_do():
    """Changing a parameter changes the plan, unless the recipe overrides that parameter."""
    base = params_with("finetuned")
    changes = {"seed": 5, "train_limit": 9, "class_weights": "balanced", "device": "cpu"}
    for name, value in changes.items():
        assert resolve(base.model_copy(update={name: value})) != resolve(base), name
    for name, value in {"units": 7, "mirror_test": False, "warmup": 0.3, "patience": 3, "unfreeze": 4}.items():
        assert resolve(params_with("finetuned", {name: value})).facts() != resolve(base).facts(), name
    assert resolve(base.model_copy(update={"lr": 0.5, "batch_size": 3})) == resolve(base)  # the recipe overrides both


def test_the_facts_name_what_was_in_use():
    plain = resolve(params_with("baseline")).parameters()
    assert plain["network"] == "convnet"
    assert plain["optimizer"] == "rmsprop"
    assert "unfreeze" not in plain
    assert "network" not in resolve(params_with("extracted")).parameters()


def test_a_logistic_head_has_neither_epochs_nor_chance():
    base = params_with("extracted")
    plan = resolve(base)
    assert plan.recipe.head == "logistic"
    assert not {"seed", "epochs", "lr", "batch_size", "units", "augment", "unfreeze"} & plan.parameters().keys()
    assert {"backbone", "head", "mirror", "mirror_test", "image_size", "class_weights"} <= plan.parameters().keys()
    # What has no effect starts no training afresh.
    for name, value in {"lr": 0.5, "seed": 5, "batch_size": 3}.items():
        assert resolve(base.model_copy(update={name: value})) == plan, name
    for name, value in {"train_limit": 9, "class_weights": "balanced", "device": "cpu"}.items():
        assert resolve(base.model_copy(update={name: value})) != plan, name
    dense = resolve(params_with("finetuned"))
    assert {"seed", "epochs", "lr", "batch_size", "units", "head"} <= dense.parameters().keys()


def test_a_plan_cannot_be_changed():
    plan = resolve(params_with("baseline"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.lr = 1.0


def test_fit_takes_a_plan_and_little_else():
    from smallvision.training.fitting import fit

    assert list(inspect.signature(fit).parameters) == ["build", "train", "validation", "plan", "hooks"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("plan.recipe.weight_decay + plan.lr", None),
        ("plan.batchsize", '"Plan" has no attribute "batchsize"'),
        ("plan.recipe.weight_dekay", '"Recipe" has no attribute "weight_dekay"'),
        ("replace(plan, epoch=3)", 'Unexpected keyword argument "epoch"'),
    ],
)
def test_a_misspelt_field_is_an_error_of_mypy(tmp_path, line, error):
    program = "from dataclasses import replace\nfrom smallvision.training.plan import Plan\n"
    (tmp_path / "three_lines.py").write_text(f"{program}def use(plan: Plan) -> None: print(replace, {line})\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / "three_lines.py")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == (1 if error else 0), result.stdout
    assert error is None or error in result.stdout


def test_every_field_of_a_plan_has_its_meaning():
    described = set(inspect.getdoc(Plan).split("Attributes:")[1].replace(":", " ").split())
    assert {field.name for field in dataclasses.fields(Plan)} <= described
