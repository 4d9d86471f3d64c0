"""Features of a frozen base are kept between runs, and never taken for those of something else."""

import pwd
import sqlite3
from unittest.mock import Mock

import diskcache
import keras
import numpy as np
import pytest

from smallvision.training import features
from tests.training.helpers import TRAIN, VALIDATION, make_base


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """What is computed and not taken from the cache: the conversion of a base, and the features of a subset."""
    done, convert, outputs = [], features._convert, features.Network.outputs

    def count_conversion(*arguments):
        done.append("a conversion")
        return convert(*arguments)

    def count_outputs(self, pictures, shown=None, *, mirror=False):
        if shown:  # a conversion runs the network too, on pictures that have no name
            done.append(f"{shown}, mirrored" if mirror else shown)
        return outputs(self, pictures, shown, mirror=mirror)

    monkeypatch.setattr(features, "_convert", count_conversion)
    monkeypatch.setattr(features.Network, "outputs", count_outputs)
    return done


def keep(compute) -> bytes:
    """Keep what `compute` returns, as `compute_features` does."""
    return features._bytes_or_compute(["what", "it", "depends", "on"], compute)


def test_features_are_computed_once(computed):
    first = features.compute_features(make_base(), TRAIN[0], "training pictures")
    assert computed == ["a conversion", "training pictures"]
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0], "training pictures"), first)
    assert len(computed) == 2


def test_a_base_is_converted_once_for_all_pictures(computed):
    for _ in range(2):
        features.compute_features(make_base(), TRAIN[0], "training pictures", mirror=True)
        features.compute_features(make_base(), VALIDATION[0], "validation pictures")
    expected = ["a conversion", "training pictures", "training pictures, mirrored", "validation pictures"]
    assert computed == expected


def test_features_of_features_are_kept_too_without_a_conversion(monkeypatch, computed):
    run = Mock(side_effect=lambda model, inputs: model(inputs).numpy())  # without a graph, which takes time to make
    monkeypatch.setattr(features, "run_model", run)
    base, below = make_base(), TRAIN[0].astype(np.float32) / 100
    first = features.compute_features(base, below, "pictures")
    assert np.array_equal(first, base(below).numpy())
    assert np.array_equal(features.compute_features(base, below, "pictures"), first)
    assert run.call_count == 1
    assert not np.array_equal(features.compute_features(base, below + 1, "pictures"), first)
    assert computed == []


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
    first = features.compute_features(base, TRAIN[0], "pictures")
    for change in (other_pixels, other_order, other_layers, other_weights):  # only the last one changes the base itself
        changed, inputs = change(base, TRAIN[0].copy())
        second = features.compute_features(changed, inputs, "pictures")
        assert not np.array_equal(first, second), change
        assert np.allclose(second, changed(inputs.astype(np.float32) / 255).numpy(), atol=1e-5), change


def test_a_cache_that_cannot_be_used_costs_only_time(cache, capsys):
    cache.write_text("a file where the folder should be")
    assert features.compute_features(make_base(), TRAIN[0], "pictures").shape == (24, 11, 11, 8)
    assert "features are not kept" in capsys.readouterr().err


@pytest.mark.parametrize("part", [b"least-recently-stored", b"pickle_protocol", b"CREATE TABLE", b"SQLite format"])
def test_a_damaged_database_costs_only_time(cache, capsys, part):
    compute = Mock(return_value=b"features")
    keep(compute)
    database = next(cache.rglob("cache.db"))
    content = database.read_bytes()
    assert part in content
    database.write_bytes(content.replace(part, b"\n" + part[1:]))
    assert keep(compute) == b"features"
    assert compute.call_count == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("features are not kept: ") for line in lines)


@pytest.mark.slow
def test_a_user_without_a_home_folder_has_no_cache(monkeypatch, capsys):
    def no_entry(_):
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert features.compute_features(make_base(), TRAIN[0], "pictures").shape == (24, 11, 11, 8)
    assert "features are not kept: could not determine the home directory" in capsys.readouterr().err


def test_what_fails_in_computing_is_not_taken_for_a_broken_cache(monkeypatch, capsys):
    convert = Mock(side_effect=ValueError("a bug"))
    monkeypatch.setattr(features, "_convert", convert)
    with pytest.raises(ValueError, match="a bug"):
        features.compute_features(make_base(), TRAIN[0], "pictures")
    assert convert.call_count == 1
    assert capsys.readouterr().err == ""


def test_a_cache_whose_files_are_cut_is_computed_again(cache, computed):
    first = features.compute_features(make_base(), TRAIN[0], "pictures")
    for path in cache.rglob("*.val"):
        path.write_bytes(path.read_bytes()[:100])
    for _ in range(2):
        assert np.array_equal(features.compute_features(make_base(), TRAIN[0], "pictures"), first)
    assert computed == ["a conversion", "pictures", "pictures"]


def change_entries(cache, change):
    """Change the bytes of every kept entry: large ones are files, and small ones are in the database."""
    files = list(cache.rglob("*.val"))
    for path in files:
        path.write_bytes(change(path.read_bytes()))
    with sqlite3.connect(next(cache.rglob("cache.db"))) as database:
        rows = database.execute("SELECT rowid, value FROM Cache WHERE filename IS NULL").fetchall()
        for number, value in rows:
            database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (change(value), number))
    database.close()
    assert files
    assert rows


def test_a_byte_flipped_anywhere_in_an_entry_is_found_and_told(cache, computed, monkeypatch, capsys):
    base, many, few = make_base(), TRAIN[0], TRAIN[0][:2]
    convert = Mock(return_value=features._convert(base, few))
    monkeypatch.setattr(features, "_convert", convert)

    def compute():
        return [features.compute_features(base, pictures, "pictures") for pictures in (many, few)]

    first, rng = compute(), np.random.default_rng(1)
    for count, place in enumerate((0, features.DIGEST, rng.integers(5000), -1), 2):
        computed.clear()

        def flip(data, place=place):
            harmed = bytearray(data)
            harmed[place] ^= 1 << rng.integers(8)
            return bytes(harmed)

        change_entries(cache, flip)
        assert all(np.array_equal(*pair) for pair in zip(compute(), first, strict=True))
        assert computed == ["pictures", "pictures"]
        assert convert.call_count == count
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert all(line.endswith("features: an entry is damaged; it is computed again") for line in lines)
        assert all(np.array_equal(*pair) for pair in zip(compute(), first, strict=True))
        assert len(computed) == 2
        assert capsys.readouterr().err == ""


def test_an_entry_in_the_place_of_another_is_found(cache, computed, capsys):
    first = features.compute_features(make_base(), TRAIN[0], "pictures", mirror=True)
    one, other = cache.rglob("*.val")
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    computed.clear()
    assert np.array_equal(features.compute_features(make_base(), TRAIN[0], "pictures", mirror=True), first)
    assert computed == ["pictures", "pictures, mirrored"]
    assert capsys.readouterr().err.count("an entry is damaged") == 2


def test_an_entry_of_another_kind_is_computed_again(cache, capsys):
    compute = Mock(return_value=b"features")
    keep(compute)
    for count, value in enumerate([None, 5, "text", b"", b"short", b"features"], 2):
        with diskcache.Cache(str(next(cache.rglob("cache.db")).parent)) as store:
            (key,) = store
            store[key] = value
        assert keep(compute) == keep(compute) == b"features"
        assert compute.call_count == count
    assert capsys.readouterr().err.count("an entry is damaged") == 5  # None is none
