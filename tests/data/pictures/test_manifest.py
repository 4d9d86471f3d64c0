"""The manifest is read as it was written, and a file that is none is named."""

import json
from dataclasses import fields, replace

import pytest

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import Entry, Manifest, Rejection, Unlabelled, read_manifest, write_manifest
from tests.data.pictures.helpers import make_manifest

ENTRY = Entry("train", "cat", "1.jpg", "cat/1.jpg", "0" * 64, "JPEG")
BAD = Rejection("cat/3.jpg", "an empty file")
LOOSE = Unlabelled("9.jpg", "test/9.jpg", "2" * 64, "JPEG")
MANIFEST = replace(
    make_manifest(["cat", "dog"], [ENTRY]),
    given=["test"],
    unlabelled=[LOOSE],
    rejected=[BAD],
    left_out=[Rejection("notes.txt", "not a picture")],
    duplicates=[["cat/1.jpg", "cat/2.jpg"]],
)


@pytest.fixture
def path(tmp_path):
    write_manifest(tmp_path / "manifest.json", MANIFEST)
    return tmp_path / "manifest.json"


def test_what_is_written_is_read(path):
    assert read_manifest(path) == MANIFEST
    written = json.loads(path.read_text())
    assert list(written) == [field.name for field in fields(Manifest)]
    assert written["pictures"] == [ENTRY.__dict__]
    assert (LOOSE.path, ENTRY.path) == ("unlabelled/9.jpg", "train/cat/1.jpg")
    assert written["rejected"] == [{"source": "cat/3.jpg", "reason": "an empty file"}]


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 2},
        {"classes": "cd"},
        {"pictures": [{"subset": "train"}]},
        {"pictures": [{**ENTRY.__dict__, "sha256": 0}]},
        {"rejected": [{"source": "cat/3.jpg"}]},
        {"left_out": None},
        {"unlabelled": [ENTRY.__dict__]},
        {"ignored": []},
        {"colour": "red"},
    ],
)
def test_a_manifest_of_another_version_is_refused(path, change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        InputError, match=r"manifest\.json: not a manifest of this version \(.+\); `dvc repro -f split`"
    ):
        read_manifest(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff", b"null"])
def test_a_file_that_is_no_manifest_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"manifest\.json: not a manifest of this version \(.+\); `dvc repro -f split`"
    ):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.json: not found; `dvc repro split` makes it"):
        read_manifest(tmp_path / "manifest.json")
