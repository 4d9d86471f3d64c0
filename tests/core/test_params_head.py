"""The keys of a recipe that a head on a pretrained base has, and those that mean nothing beside it."""

import pytest

from smallvision.core.errors import ParameterError
from smallvision.core.params import OF_BACKBONES, OF_EPOCHS, Recipe
from tests.core.test_params import GOOD, read

LOGISTIC = "backbone: vgg16, head: logistic"
# A valid value of each key, and other keys that it would need with head: dense.
VALUES = {
    "epochs": "3",
    "lr": "0.1",
    "batch_size": "8",
    "schedule": "cosine",
    "warmup": "0.1",
    "optimizer": "adamw",
    "weight_decay": "0.1",
    "patience": "2",
    "label_smoothing": "0.1",
    "units": "9",
    "dropout": "0.5",
    "augment": "{flip: true}",
    "unfreeze": "2",
    "finetune_lr": "0.1",
    "finetune_epochs": "2",
}


def read_recipe(folder, recipe: str) -> Recipe:
    return read(folder, GOOD.replace("baseline: {epochs: 1}", f"baseline: {{{recipe}}}")).recipes["baseline"]


def refuse(folder, recipe: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_recipe(folder, recipe)
    assert str(caught.value).endswith(f"recipes.baseline: {message}")


@pytest.mark.parametrize("key", sorted(OF_EPOCHS))
def test_a_key_of_epochs_has_no_place_beside_a_logistic_head(tmp_path, key):
    message = f"{key} has no effect with head: logistic; head: dense is trained in epochs"
    refuse(tmp_path, f"{LOGISTIC}, {key}: {VALUES[key]}", message)


def test_of_several_such_keys_the_first_one_is_told(tmp_path):
    refuse(tmp_path, f"{LOGISTIC}, warmup: 0.1, lr: 0.1, epochs: 3", "epochs has no effect with head: logistic; "
           "head: dense is trained in epochs")  # fmt: skip


def test_a_key_of_epochs_may_be_null_beside_a_logistic_head(tmp_path):
    """So may a recipe say that it leaves out what other recipes have."""
    keys = sorted(key for key in OF_EPOCHS if Recipe.model_fields[key].default is None)
    assert {"epochs", "lr", "augment", "unfreeze"} <= set(keys)
    recipe = read_recipe(tmp_path, f"{LOGISTIC}, {', '.join(f'{key}: null' for key in keys)}")
    assert (recipe.head, recipe.epochs) == ("logistic", None)


def test_the_other_keys_go_with_a_logistic_head(tmp_path):
    others = "weights: imagenet, pooling: flatten, mirror: true, mirror_test: true, image_size: 96"
    recipe = read_recipe(tmp_path, f"{LOGISTIC}, {others}")
    assert (recipe.pooling, recipe.mirror, recipe.mirror_test, recipe.image_size) == ("flatten", True, True, 96)
    assert set(Recipe.model_fields) - OF_EPOCHS == {
        "network", "backbone", "weights", "pooling", "head", "mirror", "image_size", "mirror_test"
    }  # fmt: skip


@pytest.mark.parametrize("recipe", ["", "backbone: vgg16", "backbone: vgg16, head: dense", "epochs: null"])
def test_a_recipe_that_is_trained_in_epochs_says_how_many(tmp_path, recipe):
    of_a_base = "; docs/howto.md, Train another head, has such a recipe" if "backbone" in recipe else ""
    refuse(tmp_path, recipe, f"epochs is missing{of_a_base}")


OF_A_BASE = {
    "weights": "imagenet",
    "pooling": "average",
    "head": "logistic",
    "units": "9",
    "mirror": "true",
    "unfreeze": "2",
    "finetune_lr": "0.1",
    "finetune_epochs": "2",
}


@pytest.mark.parametrize("key", OF_A_BASE)
def test_a_key_of_a_base_needs_one(tmp_path, key):
    refuse(tmp_path, f"epochs: 1, {key}: {OF_A_BASE[key]}", f"{key} needs a backbone")
    assert OF_A_BASE.keys() == OF_BACKBONES


def test_heads_are_told_by_name(tmp_path):
    assert read_recipe(tmp_path, "epochs: 1, backbone: vgg16").head == "dense"
    refuse_head = "recipes.baseline.head: expected dense or logistic, received 'svm'"
    with pytest.raises(ParameterError, match=refuse_head):
        read_recipe(tmp_path, "epochs: 1, backbone: vgg16, head: svm")
    refuse(tmp_path, f"{LOGISTIC}, network: residual", "network and backbone exclude each other")
