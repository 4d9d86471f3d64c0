"""Features of a frozen base are kept between runs, and never taken for those of something else."""

import pwd

import keras
import numpy as np
import pytest

from smallvision.training import features
from tests.training.helpers import TRAIN, make_base


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_features_are_computed_once(monkeypatch):
    base = make_base()
    first = features.compute_features(base, TRAIN[0])
    monkeypatch.setattr(features, "run_model", lambda *_, **__: pytest.fail("computed again"))
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)


@pytest.mark.parametrize("change", ["weights", "layers", "pixels", "order"])
def test_features_of_something_else_are_never_taken(change):
    base, inputs = make_base(), TRAIN[0].copy()
    first = features.compute_features(base, inputs)
    if change == "weights":
        base.get_layer("two_conv").bias.assign_add(np.full(8, 0.25, np.float32))
    if change == "layers":
        base.get_layer("two_relu").negative_slope = 0.5
        base = keras.Model.from_config(base.get_config())
        base.set_weights(make_base().get_weights())
    if change == "pixels":
        inputs[0, 0, 0, 0] ^= 0xFF
    if change == "order":
        inputs = inputs[::-1].copy()
    second = features.compute_features(base, inputs)
    assert not np.array_equal(first, second)
    assert np.allclose(second, base.predict(inputs.astype(np.float32) / 255, verbose=0), atol=1e-5)


def test_a_cache_that_cannot_be_used_costs_only_time(cache, capsys):
    cache.write_text("a file where the folder should be")
    assert features.compute_features(make_base(), TRAIN[0]).shape == (24, 11, 11, 8)
    assert "features are not kept" in capsys.readouterr().err


def test_a_user_without_a_home_folder_has_no_cache(monkeypatch, capsys):
    def no_entry(_):
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert features.compute_features(make_base(), TRAIN[0]).shape == (24, 11, 11, 8)
    assert "features are not kept: could not determine the home directory" in capsys.readouterr().err


def test_what_fails_in_computing_is_not_taken_for_a_broken_cache(monkeypatch, capsys):
    calls = []

    def fail(*_, **__):
        calls.append(1)
        raise ValueError("a bug")

    monkeypatch.setattr(features, "run_model", fail)
    with pytest.raises(ValueError, match="a bug"):
        features.compute_features(make_base(), TRAIN[0])
    assert calls == [1]
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_is_computed_again(cache, monkeypatch):
    first = features.compute_features(make_base(), TRAIN[0])
    for path in cache.rglob("*.val"):
        path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)
    monkeypatch.setattr(features, "run_model", lambda *_, **__: pytest.fail("not kept again"))
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)
