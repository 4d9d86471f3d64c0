"""A picture is known by its name, also one in a format that is not supported."""

from pathlib import PurePosixPath

import pytest

from smallvision.data.sources.picture_files import has_picture_suffix, is_hidden


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1.jpg", True), ("a/1.JPEG", True), ("1.heic", True), ("1.tar.gz", False), ("jpg", False), (".jpg", False)],
)
def test_a_picture_is_known_by_its_suffix(name, expected):
    assert has_picture_suffix(PurePosixPath(name)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/1.jpg", False), ("a/._1.jpg", True), (".thumbnails/1.jpg", True), ("a/.b/1.jpg", True), ("a.b/1..jpg", False)],
)
def test_a_path_is_hidden_if_any_part_of_it_is(path, expected):
    assert is_hidden(PurePosixPath(path)) == expected
