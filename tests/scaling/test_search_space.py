"""What a sweep may search is read as DVC reads it, and what cannot work is refused before anything trains."""

import hypothesis.strategies as st
import pytest
import ruamel.yaml
import yaml
from hypothesis import example, given

from smallvision.core.errors import ParameterError
from smallvision.core.params_file import read_params
from smallvision.scaling.search_space import Interval, check_space, params_with, read_space
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def text_with(*recipes: str) -> str:
    """Return params.yaml without comments and other recipes, which takes a third of the time to change."""
    content = yaml.safe_load(TEXT)
    content["recipes"] = {name: content["recipes"][name] for name in recipes}
    return yaml.safe_dump(content, sort_keys=False)


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_settings_are_those_of_hydra():
    space = read_space(
        None,
        [
            "recipe=residual",
            "recipes.residual.lr=tag(log, interval(1e-4, 1e-2))",
            "recipes.residual.dropout=interval(0, 0.5)",
            "recipes.residual.image_size=int(interval(96, 160))",
            "recipes.residual.batch_size=16,32,16",
            "recipes.residual.epochs=range(10, 40, 10)",
            "recipes.residual.augment.size=128,null",
        ],
    )
    assert space.fixed == {"recipe": "residual"}
    assert space.free == {
        "recipes.residual.lr": Interval(1e-4, 1e-2, log=True),
        "recipes.residual.dropout": Interval(0, 0.5),
        "recipes.residual.image_size": Interval(96, 160, whole=True),
        "recipes.residual.batch_size": ("16", "32"),
        "recipes.residual.epochs": ("10", "20", "30"),
        "recipes.residual.augment.size": ("128", "null"),
    }
    assert space.combinations is None
    check_space(space, text_with("baseline", "residual"))


def test_a_file_says_the_same_and_a_setting_replaces_a_line(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(
        "lr: tag(log, interval(1e-5, 1e-2))\n"
        "batch_size: [10, 20]\n"
        "recipe: augmented\n"
        "recipes.augmented.augment.flip: [true, false]\n"
        "recipes.augmented.patience: [5, null]\n"
        "seed: 1\n"
    )
    options = ["batch_size=20,40", "recipe=augmented,baseline", "seed=2"]
    assert read_space(file, options) == read_space(
        None,
        [
            "lr=tag(log, interval(1e-5, 1e-2))",
            "batch_size=20,40",
            "recipe=augmented,baseline",
            "recipes.augmented.augment.flip=true,false",
            "recipes.augmented.patience=5,null",
            "seed=2",
        ],
    )


def test_combinations_are_counted_where_all_are_choices():
    assert read_space(None, ["batch_size=10,20,40", "seed=range(1,5)"]).combinations == 12


def test_a_trials_settings_are_rounded_words():
    space = read_space(None, ["recipe=augmented", "lr=tag(log, interval(1e-4, 1e-2))", "batch_size=16,32"])
    assert space.settings({"lr": 0.00123456, "batch_size": "32"}) == {
        "recipe": "augmented",
        "lr": "0.00123",
        "batch_size": "32",
    }


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), st.floats(0, 1))
@example(1.23456e-4, 1.23457e-4, 0.5)
def test_what_is_drawn_stays_inside_and_is_read_back(low, high, share):
    low, high = sorted((low, high))
    written = Interval(low, high).write(low + share * (high - low))
    assert low <= float(written) <= high
    assert ruamel.yaml.YAML(typ="safe", pure=True).load(written) == float(written)


@given(st.integers(1, 500), st.integers(1, 500))
def test_whole_numbers_stay_whole(low, more):
    interval = Interval(low, low + more, whole=True)
    assert (interval.write(low), interval.write(float(low + more))) == (str(low), str(low + more))


@given(st.text(max_size=40))
@example("lr=interval(1, 2")
@example("a='")
def test_any_text_is_a_space_or_one_line(text):
    try:
        space = read_space(None, [text])
    except ParameterError as error:
        assert len(str(error).splitlines()) <= 1 + text.count("\n") + sum(
            map(text.count, "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
        )
    else:
        assert space.free


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["lr=log(1e-4, 1e-2)"], "Unknown function 'log'; examples: 'lr=tag(log, interval(1e-4, 1e-2))'"),
        (["lr=1e-3"], "nothing to search"),
        ([], "nothing to search"),
        (["lr"], "cannot be read"),
        (["+lrr=1,2"], "neither adds nor removes"),
        (["lr=glob(*)"], "list the values"),
        (["lr=interval(2, 1)"], "a lower and a higher end"),
        (["lr=tag(log, interval(0, 1))"], "above 0"),
        (["split.train=100,200"], "same pictures"),
        (["source=drawn,drawn3"], "same pictures"),
        (["lrr=1,2"], "lrr"),
        (["lr=interval(0, 1)"], "params.yaml: lr: expected greater than 0"),
        (["lr=1e-3,abc"], "params.yaml: lr: expected a valid number, received 'abc'"),
        (["recipe=baseline,resnet"], "there is no 'resnet'"),
        (["recipe=augmented", "lr=1e-3,1e-4"], "has no effect on recipe augmented"),
        (["recipes.augmented.lr=1e-3,1e-4"], "has no effect on recipe baseline"),
        (["recipe=extracted", "image_size=int(interval(96, 160))"], "has no effect on recipe extracted"),
        (["recipe=extracted", "precision=float32,bfloat16"], "extracted; a pretrained base computes in float32"),
        (["recipe=extracted", "recipes.extracted.weights=no.h5", "lr=1e-3,1e-4"], "'no.h5' is no file here"),
        (["recipe=extracted", "lr=1e-3,1e-4"], "on recipe extracted; head: logistic is not trained in epochs"),
        (["recipe=extracted", "seed=1,2"], "on recipe extracted; head: logistic is not trained in epochs"),
        (["tensorboard=true,false"], "has no effect on recipe baseline; it only draws"),
        (["image_size=int(interval(10, 150))"], "params.yaml: image_size"),
        (["batch_size=interval(8, 64)"], "params.yaml: batch_size: expected a valid integer"),
        (["lr=tag(logarithmic, interval(1e-4, 1e-2))"], "no tag but log"),
        (["batch_size=shuffle(8, 16)"], "shuffle"),
        (["lr@x=1e-3,1e-4"], "neither @"),
        (["seed=range(1, 5, 0)"], "seed=range(1, 5, 0)"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(settings, words):
    with pytest.raises(ParameterError) as caught:
        check_space(read_space(None, settings), text_with("baseline", "augmented", "extracted"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_one_of_the_recipes_uses_may_be_searched():
    space = read_space(None, ["recipe=baseline,augmented", "lr=1e-3,1e-4"])
    check_space(space, text_with("baseline", "augmented"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("a: [", "no valid YAML"),
        ("- lr", "expected lines such as"),
        ("lr: interval(", "lr=interval("),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, words):
    file = tmp_path / "space.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ParameterError, match=words.replace("(", r"\(")):
        read_space(file, [])


def test_parameters_are_changed_by_dvcs_own_function_and_the_file_is_not():
    params = params_with({"lr": "1e-3", "recipe": "augmented", "recipes.augmented.augment.rotation": "10"}, TEXT)
    assert (params.lr, params.recipe, params.recipes["augmented"].augment.rotation) == (1e-3, "augmented", 10)
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == TEXT


def test_the_parameters_of_the_moment_are_a_trial_if_all_of_them_lie_in_the_space():
    params = read_params()
    settings = ["lr=tag(log, interval(1e-5, 1e-2))", "batch_size=10,20", "recipes.augmented.dropout=interval(0, 0.6)"]
    point = read_space(None, settings).point_of(params)
    assert point == {"lr": params.lr, "batch_size": "20", "recipes.augmented.dropout": 0.5}
    for outside in ("image_size=46,64", "seed=interval(1, 9)", "train_limit=int(interval(100, 200))"):
        assert read_space(None, [*settings, outside]).point_of(params) is None
