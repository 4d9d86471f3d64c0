"""The pictures that a person names are found in the given order, and read within limits."""

import pytest

from smallvision.core.errors import InputError, NetworkError, ParameterError
from smallvision.data.pictures.decoding import PictureError
from smallvision.serving import inputs
from tests.conftest import jpeg
from tests.servers import serve


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Two folders of files that are called like pictures, and some that must not be found."""
    hidden = ["a/._1.jpg", "a/.thumbnails/1.jpg", "a/notes.txt"]
    for name in ["a/1.jpg", "a/2.JPEG", "a/10.png", "a/deep er/x.jpg", "b/ü.jpg", "b/y.webp", *hidden]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


A = ["a/1.jpg", "a/2.JPEG", "a/10.png", "a/deep er/x.jpg"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["a"], A),
        (["b/y.webp", "a", "b/*.jpg"], ["b/y.webp", *A, "b/ü.jpg"]),
        (["**/*.jp*g"], ["a/1.jpg", "a/deep er/x.jpg", "b/ü.jpg"]),
        (["a/deep*"], ["a/deep er/x.jpg"]),
        (["a/notes.txt", "nowhere.jpg"], ["a/notes.txt", "nowhere.jpg"]),  # reading them will say what is wrong
    ],
)
def test_folders_files_and_patterns_in_the_order_given(given, found):
    assert inputs.find(given, allow_urls=False) == found


def test_a_name_with_pattern_characters_is_a_name_first(folder):
    for name in ("[1]*.jpg", "1x.jpg"):
        (folder / "b" / name).write_bytes(b"content")
    assert inputs.find(["b/[1]*.jpg"], allow_urls=False) == ["b/[1]*.jpg"]


def test_what_stands_for_no_picture_is_named():
    with pytest.raises(InputError, match=r"empty: no pictures in this folder or below; expected \.jpg"):
        inputs.find(["empty"], allow_urls=False)
    with pytest.raises(InputError, match=r"no\*where: no such file, and nothing that it matches as a pattern"):
        inputs.find(["no*where"], allow_urls=False)


def test_addresses_are_taken_if_that_is_allowed():
    for address in ("http://127.0.0.1:9/x.jpg", "HTTPS://example.org/*.jpg"):
        assert inputs.find([address], allow_urls=True) == [address]
        with pytest.raises(ParameterError, match="add --allow-urls to have addresses fetched"):
            inputs.find([address], allow_urls=False)


def test_what_is_larger_than_any_picture_is_not_read(folder, monkeypatch):
    (folder / "large.jpg").write_bytes(jpeg(1))
    answers = {"/large.jpg": jpeg(1)}

    def answer(handler):
        found = answers.get(handler.path)
        handler.send(200 if found else 404, found or b"")

    with serve(answer) as server:
        address = server.address.rsplit("/", 1)[0]
        assert inputs.read(f"{address}/large.jpg") == inputs.read("large.jpg") == jpeg(1)
        monkeypatch.setattr(inputs, "MAX_PICTURE_BYTES", 100)
        for name in ("large.jpg", f"{address}/large.jpg"):
            with pytest.raises(PictureError, match="more than 0 MiB, which no picture needs"):
                inputs.read(name)
        with pytest.raises(NetworkError, match="the server answered 404"):
            inputs.read(f"{address}/none.jpg")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(PictureError, match="No such file or directory"):
        inputs.read("nowhere.jpg")
