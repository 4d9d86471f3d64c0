"""The manifest is read as it was written, and a file that is none is named."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def with_pictures(subsets, groups, duplicates) -> Manifest:
    """A manifest of pictures `0.jpg`, `1.jpg`, …, of whose subsets and groups each is told."""
    entries = [
        replace(ENTRY, subset=subset, name=f"{number}.jpg", source=f"cat/{number}.jpg", group=group)
        for number, (subset, group) in enumerate(zip(subsets, groups, strict=True))
    ]
    copies = [[f"cat/{number}.jpg" for number in numbers] for numbers in duplicates]
    return replace(MANIFEST, pictures=entries, duplicates=copies)


def test_members_of_a_group_and_copies_of_a_picture_have_one_number():
    groups = [None, "a", "b", "a", None, None, "b", None]
    numbers = with_pictures(["train"] * 8, groups, [[0, 4], [4, 5], [2, 7]]).groups("train")
    assert numbers[1] == numbers[3]
    assert numbers[0] == numbers[4] == numbers[5]  # the last two are copies too
    assert numbers[2] == numbers[6] == numbers[7]  # a copy of a member
    assert len(set(numbers)) == 3
    # A copy joins two groups.
    assert len(set(with_pictures(["train"] * 8, groups, [[1, 2]]).groups("train"))) == 5
    # Without groups and copies, each picture is alone.
    assert len(set(with_pictures(["train"] * 8, [None] * 8, []).groups("train"))) == 8
    assert with_pictures(["train"], [None], []).groups("test") == []


def test_copies_elsewhere_count_only_as_far_as_they_are_in_the_subset():
    """Subsets that came with the pictures, and pictures beyond the numbers of `split`, may leave some of them out."""
    subsets, groups = ["test", "train", "validation", "train", "train"], [None, "a", "a", None, "a"]
    manifest = with_pictures(subsets, groups, [[0, 1, 3], [2, 3], [99, 4]])
    train = manifest.groups("train")
    assert train[0] == train[1] == train[2]  # copies with one of `test` between them, and a group
    assert len(manifest.groups("test")) == len(manifest.groups("validation")) == 1
    manifest = with_pictures(subsets, [None] * 5, [[0, 1], [2, 3], [99, 4]])
    assert len(set(manifest.groups("train"))) == 3


@given(
    st.lists(st.tuples(st.sampled_from(["train", "test"]), st.sampled_from([None, "a", "b", "c"])), max_size=12),
    st.lists(st.lists(st.integers(0, 14), min_size=2, max_size=4), max_size=4),
)
def test_numbers_are_the_same_for_what_is_linked_and_only_for_that(pictures, duplicates):
    subsets, groups = zip(*pictures, strict=True) if pictures else ((), ())
    manifest = with_pictures(subsets, groups, duplicates)
    members = [number for number, subset in enumerate(subsets) if subset == "train"]
    numbers = manifest.groups("train")
    assert all(isinstance(number, int) for number in numbers)
    assert len(numbers) == len(members)
    # Follow the links one by one until nothing changes.
    linked = np.eye(len(members), dtype=bool)
    for i, one in enumerate(members):
        for j, other in enumerate(members):
            same_group = groups[one] is not None and groups[one] == groups[other]
            linked[i, j] |= same_group or any({one, other} <= set(copies) for copies in duplicates)
    for _ in members:
        linked = linked @ linked
    assert (linked == (np.array(numbers)[:, None] == np.array(numbers)[None])).all()
