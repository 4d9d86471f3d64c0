"""The drawn cats, dogs and rabbits."""

import zipfile
from itertools import combinations

import numpy as np
import pytest

from smallvision.data.pictures.decoding import decode
from smallvision.data.sources.animals import SPECIES
from smallvision.data.sources.drawn import FOLDERS, draw_archive, draw_picture
from smallvision.data.sources.files import open_files


def test_an_archive_in_kaggles_layout_the_same_each_time(tmp_path):
    draw_archive(tmp_path / "1.zip", {"cat": 3, "dog": 3})
    draw_archive(tmp_path / "2.zip", {"cat": 3, "dog": 3})
    draw_archive(tmp_path / "other.zip", {"cat": 3, "dog": 3}, seed=1)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert (tmp_path / "1.zip").read_bytes() != (tmp_path / "other.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "1.zip").namelist()[:2] == ["train/cat.0.jpg", "train/cat.1.jpg"]
    with open_files(tmp_path / "1.zip") as files:
        assert files.pictures == [f"train/{label}.{number}.jpg" for label in ("cat", "dog") for number in range(3)]
        sizes = {decode(files.read(path)).size for path in files.pictures[3:]}
    assert len(sizes) == 3
    assert all(300 <= side <= 500 for size in sizes for side in size)


def test_a_larger_archive_begins_with_the_smaller(tmp_path):
    draw_archive(tmp_path / "1.zip", {"cat": 1, "dog": 1})
    draw_archive(tmp_path / "2.zip", {"cat": 2, "dog": 2})
    small, large = zipfile.ZipFile(tmp_path / "1.zip"), zipfile.ZipFile(tmp_path / "2.zip")
    assert all(small.read(name) == large.read(name) for name in small.namelist())


def test_three_classes_in_class_folders(tmp_path):
    draw_archive(tmp_path / "1.zip", {"cat": 2, "dog": 1, "rabbit": 1}, FOLDERS)
    with open_files(tmp_path / "1.zip") as files:
        assert files.pictures == ["cat/0.jpg", "cat/1.jpg", "dog/0.jpg", "rabbit/0.jpg"]
    draw_archive(tmp_path / "2.zip", {"cat": 1, "dog": 1})
    both = [zipfile.ZipFile(tmp_path / name) for name in ("1.zip", "2.zip")]
    assert both[0].read("dog/0.jpg") == both[1].read("train/dog.0.jpg")  # the third class does not change the others


@pytest.mark.slow
def test_the_mean_colour_does_not_tell_the_species():
    """Otherwise a network would learn the paint and not the animal."""
    means = {
        species: np.array(
            [np.asarray(draw_picture(species, np.random.default_rng([3, n]))).mean((0, 1)) for n in range(60)]
        )
        for species in SPECIES
    }
    for one, other in combinations(means.values(), 2):
        gap = one.mean(0) - other.mean(0)
        assert (np.abs(gap) < 2.5 * np.sqrt(one.var(0) / 60 + other.var(0) / 60)).all()
