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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Compute without making a graph, which takes most of the time. test_transfer.py has tests without this."""

    def run(model, inputs, *, mirror):
        assert not mirror
        return model(inputs.astype(np.float32) / 255).numpy()

    monkeypatch.setattr(features, "run_model", run)


def test_features_are_computed_once(monkeypatch):
    base = make_base()
    first = features.compute_features(base, TRAIN[0])
    monkeypatch.setattr(features, "run_model", lambda *_, **__: pytest.fail("computed again"))
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0]), first)


def other_weights(base, inputs):
    base.get_layer("two_conv").bias.assign_add(np.full(8, 0.25, np.float32))
    return base, inputs


def other_layers(base, inputs):
    layer = base.get_layer("two_relu")
    before, layer.negative_slope = layer.negative_slope, 0.5
    changed = keras.Model.from_config(base.get_config())
    changed.set_weights(base.get_weights())
    layer.negative_slope = before
    return changed, inputs


def other_pixels(base, inputs):
    inputs[0, 0, 0, 0] ^= 0xFF
    return base, inputs


def other_order(base, inputs):
    return base, inputs[::-1].copy()


def test_features_of_something_else_are_never_taken():
    base = make_base()
    first = features.compute_features(base, TRAIN[0])
    for change in (other_pixels, other_order, other_layers, other_weights):  # only the last one changes the base itself
        changed, inputs = change(base, TRAIN[0].copy())
        second = features.compute_features(changed, inputs)
        assert not np.array_equal(first, second), change
        assert np.allclose(second, changed(inputs.astype(np.float32) / 255).numpy(), atol=1e-5), change


def test_a_cache_that_cannot_be_used_costs_only_time(cache, capsys):
    cache.write_text("a file where the folder should be")
    assert features.compute_features(make_base(), TRAIN[0]).shape == (24, 11, 11, 8)
    assert "features are not kept" in capsys.readouterr().err


@pytest.mark.slow
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
