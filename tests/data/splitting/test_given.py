"""Archives that come with subsets, groups or more classes than are wanted."""

import pytest

from smallvision.core.errors import InputError
from smallvision.data.pictures.manifest import SUBSETS, Rejection
from tests.conftest import jpeg
from tests.data.splitting.helpers import SHARES, run_split, sources


def members_of(counts):
    return {f"{folder}/{n}.jpg": jpeg(100 * i + n) for i, (folder, c) in enumerate(counts.items()) for n in range(c)}


@pytest.mark.parametrize("wanted", [{}, {"train": 0.1, "validation": 0.1, "test": 0.1}])
def test_beside_given_test_pictures_train_keeps_all_that_validation_does_not_get(tmp_path, wanted):
    counts = {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 1}
    assert run_split(tmp_path, members_of(counts), **wanted).counts == {
        "a": {"train": 18, "validation": 2, "test": 3},
        "b": {"train": 18, "validation": 2, "test": 1},
    }
    few = r"beside those for test: a: have 2, need 3, b: have 20, need 3; .* set validation of"
    with pytest.raises(InputError, match=few):
        run_split(tmp_path, members_of(counts | {"train/a": 2}))


def test_given_test_pictures_stay_and_their_copies_leave_train(tmp_path):
    members = {f"{subset}/{label}/{n}.jpg": jpeg(len(subset) + 10 * n + (label == "b") * 500)
               for subset, count in (("train", 10), ("test", 4)) for label in "ab" for n in range(count)}  # fmt: skip
    members["train/a/3.jpg"] = members["test/a/0.jpg"]
    members["train/b/3.jpg"] = members["test/a/1.jpg"]
    manifest = run_split(tmp_path, members, **SHARES)
    assert manifest.given == ["test"]
    assert sources(manifest, "test") == {path for path in members if path.startswith("test/")}
    assert manifest.left_out == [
        Rejection("train/a/3.jpg", "a copy of a test picture: test/a/0.jpg"),
        Rejection("train/b/3.jpg", "a copy of a test picture: test/a/1.jpg"),
    ]
    assert [set(group) for group in manifest.conflicts] == [{"test/a/1.jpg", "train/b/3.jpg"}]
    assert len(manifest.subset("train")) + len(manifest.subset("validation")) == 18
    fresh = run_split(tmp_path, members, subsets="new", **SHARES)
    assert (fresh.given, len(fresh.pictures)) == ([], 28)


@pytest.mark.parametrize("wanted", [SHARES, {"train": 8, "validation": 4, "test": 4}])
def test_groups_of_a_folder_are_never_in_two_subsets(tmp_path, wanted):
    members = {
        f"{label}/patient{n // 2:02}/{n}.jpg": jpeg(n + 100 * (label == "b")) for label in "ab" for n in range(16)
    }
    manifest = run_split(tmp_path, members, group="folder", **wanted)
    patients = [{path.split("/")[1] for path in sources(manifest, subset)} for subset in SUBSETS]
    assert sum(map(len, patients)) == 8 == len(set.union(*patients))
    assert all(len(manifest.subset(subset)) >= 4 for subset in SUBSETS)


def test_classes_that_are_not_wanted_are_left_out_and_listed(tmp_path):
    manifest = run_split(tmp_path, members_of({"cat": 8, "dog": 8, "emu": 2}), ["dog", "cat"])
    assert manifest.classes == ["cat", "dog"]
    assert manifest.left_out == [Rejection(f"emu/{n}.jpg", "not in `classes`") for n in (0, 1)]
    with pytest.raises(InputError, match=r"emu: have 2, need 8; .* `split` lower"):
        run_split(tmp_path, members_of({"cat": 8, "dog": 8, "emu": 2}))
