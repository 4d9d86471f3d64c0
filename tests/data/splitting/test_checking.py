"""Bad pictures give way to good ones, and too many of them are an error."""

import io

import pytest

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import Rejection
from tests.conftest import jpeg, kaggle_members, make_picture
from tests.data.splitting.helpers import SHARES, names, run_split, written


def test_the_next_picture_takes_the_place_of_a_bad_one(tmp_path):
    members = kaggle_members(11)
    members["train/cat.1.jpg"] = members["train/cat.1.jpg"][:-300]
    members["train/cat.6.jpg"] = b"no picture"
    members["train/cat.8.jpg"] = b""
    manifest = run_split(tmp_path, members)
    assert names(manifest, "train", "cat") == ["cat.0.jpg", "cat.9.jpg", "cat.2.jpg", "cat.3.jpg"]
    assert names(manifest, "validation", "cat") == ["cat.4.jpg", "cat.5.jpg"]
    assert names(manifest, "test", "cat") == ["cat.10.jpg", "cat.7.jpg"]
    assert {each.source: each.reason.split()[0] for each in manifest.rejected} == {
        "train/cat.1.jpg": "damaged:",
        "train/cat.6.jpg": "no",
        "train/cat.8.jpg": "an",
    }


def test_a_format_that_is_not_supported_is_rejected_not_overlooked(tmp_path):
    members = kaggle_members(9)
    members["train/cat.3.heic"] = b"\0\0\0\x18ftypheic" + members.pop("train/cat.3.jpg")
    manifest = run_split(tmp_path, members)
    (rejected,) = manifest.rejected
    assert rejected.source == "train/cat.3.heic"
    assert "HEIC or AVIF is not supported; convert it to JPEG" in rejected.reason


def test_a_side_that_is_too_short_for_the_user(tmp_path):
    members = kaggle_members(9)
    members["train/dog.3.jpg"] = jpeg(1, height=40)
    assert not run_split(tmp_path, members).rejected
    rejected = run_split(tmp_path, members, min_side=41).rejected
    assert rejected == [Rejection("train/dog.3.jpg", "60x40 pixels, a side under 41")]


def test_the_format_is_noted_and_so_is_an_animation(tmp_path):
    members = kaggle_members(8)
    for number, kind in enumerate(["PNG", "GIF", "WEBP"]):
        data = io.BytesIO()
        frames = [make_picture(100 + number), make_picture(200 + number)]
        frames[0].save(data, kind, **({} if kind == "PNG" else {"save_all": True, "append_images": frames[1:]}))
        members[f"train/cat.{number}.jpg"] = data.getvalue()
    formats = {entry.source: entry.format for entry in run_split(tmp_path, members).pictures}
    assert [formats[f"train/cat.{n}.jpg"] for n in range(4)] == ["PNG", "GIF, animated", "WEBP, animated", "JPEG"]


def test_too_few_pictures_are_counted_before_anything_is_written(tmp_path):
    members = kaggle_members(8)
    members["train/dog.3.jpg"] = b"no picture"
    run_split(tmp_path, kaggle_members(8))
    before = written(tmp_path)
    with pytest.raises(InputError) as caught:
        run_split(tmp_path, members)
    assert "cat: have 8, need 8, dog: have 7, need 8 (1 in no supported format)" in str(caught.value)
    assert written(tmp_path) == before


def test_by_share_every_class_needs_a_picture_for_each_subset(tmp_path):
    members = kaggle_members(4)
    del members["train/dog.0.jpg"]
    members["train/dog.1.jpg"] = b"no picture"
    with pytest.raises(InputError, match=r"cat: have 4, need 3, dog: have 2, need 3 \(1 in no supported format\)"):
        run_split(tmp_path, members, **SHARES)
    members = kaggle_members(4)
    members["train/dog.1.jpg"] = members["train/dog.2.jpg"] = members["train/dog.3.jpg"]
    with pytest.raises(
        InputError, match=r"dog: its 4 pictures are 2 without copies; copies .* leaves none for test; remove copies"
    ):
        run_split(tmp_path, members, **SHARES)
    assert written(tmp_path) == []


def test_an_archive_with_many_bad_pictures_is_refused_as_a_whole(tmp_path):
    members = kaggle_members(9)
    members["train/dog.3.jpg"] = b"no picture"
    assert len(run_split(tmp_path, members, max_rejected=1 / 17).rejected) == 1
    before = written(tmp_path)
    with pytest.raises(
        InputError, match=r"5.9% of the pictures .* split.max_rejected 5.8% \(first train/dog.3.jpg: no"
    ):
        run_split(tmp_path, members, max_rejected=0.058)
    assert written(tmp_path) == before
