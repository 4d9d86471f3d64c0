"""The book's split, without bad pictures, and without duplicates across subsets."""

import functools
import hashlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smallvision.core.errors import InputError
from smallvision.data.pictures.decoding import decode
from smallvision.data.splitting import checking
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, write_zip
from tests.data.splitting.helpers import SHARES, names, run_split, sources, written


def test_pictures_are_shared_out_by_number_and_bytes_are_kept(tmp_path):
    members = kaggle_members(9)
    manifest = run_split(tmp_path, dict(reversed(members.items())))
    for label in ("cat", "dog"):
        assert names(manifest, "train", label) == [f"{label}.{n}.jpg" for n in range(4)]
        assert names(manifest, "validation", label) == [f"{label}.{n}.jpg" for n in (4, 5)]
        assert names(manifest, "test", label) == [f"{label}.{n}.jpg" for n in (6, 7)]
    for entry in manifest.pictures:
        data = (tmp_path / "pictures" / entry.path).read_bytes()
        assert data == members[entry.source]
        assert hashlib.sha256(data).hexdigest() == entry.sha256
    assert len(written(tmp_path)) == 16 + 2  # the manifest, and the text beside the unlabelled pictures
    assert manifest.classes == ["cat", "dog"]
    assert manifest.labels("test") == [0, 0, 1, 1]


def test_training_on_fewer_leaves_the_other_subsets_alone(tmp_path):
    manifest = run_split(tmp_path, kaggle_members(9))
    fewer = manifest.limit_train(3)
    for label in ("cat", "dog"):
        assert names(fewer, "train", label) == [f"{label}.{n}.jpg" for n in range(3)]
    assert all(fewer.subset(subset) == manifest.subset(subset) for subset in ("validation", "test"))
    assert manifest.limit_train(None) == manifest.limit_train(99) == manifest


def test_a_copy_in_another_subset_moves_to_the_first(tmp_path):
    members = kaggle_members(8)
    with Image.open(io.BytesIO(members["train/dog.0.jpg"])) as image:
        data = io.BytesIO()
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(data, "JPEG", quality=90)
    members["train/dog.7.jpg"] = data.getvalue()
    manifest = run_split(tmp_path, members)
    assert manifest.duplicates == [["train/dog.0.jpg", "train/dog.7.jpg"]]
    assert sorted(names(manifest, "train", "dog")) == ["dog.0.jpg", "dog.1.jpg", "dog.2.jpg", "dog.7.jpg"]
    assert sorted(names(manifest, "test", "dog")) == ["dog.3.jpg", "dog.6.jpg"]
    assert names(manifest, "train", "cat") == ["cat.0.jpg", "cat.1.jpg", "cat.2.jpg", "cat.3.jpg"]


def test_shares_of_unbalanced_classes_keep_the_balance_in_every_subset(tmp_path):
    members = {
        f"{label}/{n}.jpg": jpeg(n + 100 * (label == "b")) for label, c in (("a", 20), ("b", 7)) for n in range(c)
    }
    members["a/3.jpg"] = b"no picture"
    manifest = run_split(tmp_path, members, **SHARES)
    assert manifest.counts == {
        "a": {"train": 13, "validation": 3, "test": 3},
        "b": {"train": 5, "validation": 1, "test": 1},
    }
    assert len(manifest.pictures) == 26


def test_what_shares_leave_over_is_left_out(tmp_path):
    manifest = run_split(tmp_path, kaggle_members(10), train=0.3, validation=0.2, test=0.1)
    assert manifest.counts["cat"] == {"train": 3, "validation": 2, "test": 1}
    assert names(manifest, "test", "dog") == ["dog.5.jpg"]


def test_by_share_copies_stay_together(tmp_path):
    members = kaggle_members(10)
    members["train/cat.9.jpg"] = members["train/cat.4.jpg"] = members["train/cat.2.jpg"]
    manifest = run_split(tmp_path, members, **SHARES)
    assert manifest.counts["cat"] == {"train": 7, "validation": 2, "test": 1}
    assert {f"cat.{n}.jpg" for n in (2, 4, 9)} < set(names(manifest, "train", "cat"))


def test_a_picture_with_two_labels_is_reported(tmp_path, project: Project):
    members = kaggle_members(8)
    members["train/dog.5.jpg"] = members["train/cat.2.jpg"]
    members["train/dog.7.jpg"] = members["train/dog.6.jpg"]
    manifest = run_split(tmp_path, members)
    assert manifest.conflicts == [["train/cat.2.jpg", "train/dog.5.jpg"]]
    assert len(manifest.duplicates) == 2
    write_zip(project.archive, members)
    assert project.split().stdout.splitlines()[-1] == (
        "split: train/cat.2.jpg and train/dog.5.jpg look the same, but their labels differ"
    )


def test_the_same_manifest_on_every_run_and_order_of_members(tmp_path):
    first = run_split(tmp_path / "1", kaggle_members(9))
    second = run_split(tmp_path / "2", dict(reversed(kaggle_members(9).items())))
    assert first.pictures == second.pictures


def assert_names_do_not_matter(folder, data, count):
    """Names decide the class and the group here, and nothing else. Some of the `count` pictures are copies."""
    picture = functools.cache(jpeg)
    seeds = data.draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    patients = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    wanted = data.draw(st.sampled_from([SHARES, {"train": count // 5, "validation": 2, "test": 2}]))
    wanted = wanted | {"seed": data.draw(st.integers(0, 3)), "group": data.draw(st.sampled_from([None, "folder"]))}
    found = []
    for called in (range(count), data.draw(st.permutations(range(count)))):
        members = {
            f"{'ab'[n % 2]}/patient{called[patient]:02}/{called[n]}.jpg": picture(seed)
            for n, (seed, patient) in enumerate(zip(seeds, patients, strict=True))
        }
        members = dict(data.draw(st.permutations(list(members.items()))))
        try:
            manifest = run_split(folder, members, **wanted)
        except InputError as error:
            found.append(str(error).split("are in")[0])
        else:
            found.append(sorted((entry.sha256, entry.label, entry.subset) for entry in manifest.pictures))
    assert found[0] == found[1]


@given(st.data())
@settings(max_examples=6)
def test_the_same_pictures_get_the_same_subsets_whatever_their_names(tmp_path_factory, data):
    assert_names_do_not_matter(tmp_path_factory.getbasetemp() / "split", data, count=20)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=50)
def test_the_same_pictures_get_the_same_subsets_whatever_their_names_and_number(tmp_path_factory, data):
    assert_names_do_not_matter(tmp_path_factory.getbasetemp() / "split", data, count=30)


def test_the_order_is_by_name_where_the_book_is_and_otherwise_by_chance(tmp_path):
    def is_by_name(members, **wanted):
        manifest = run_split(tmp_path, members, **wanted)
        return sorted(int("".join(filter(str.isdigit, path))) for path in sources(manifest, "train")) == [
            0,
            0,
            1,
            1,
            2,
            2,
            3,
            3,
        ]

    folders = {path.replace("train/", "").replace(".", "/", 1): data for path, data in kaggle_members(12).items()}
    assert is_by_name(kaggle_members(12))
    assert is_by_name({f"PetImages/{path.title()}": data for path, data in folders.items()})
    assert not is_by_name(folders)
    assert is_by_name(folders, source="drawn3")
    assert is_by_name(folders, order="name")
    assert not is_by_name(kaggle_members(12), order="random")
    assert not is_by_name(folders, order="random", seed=7)


def test_only_as_many_pictures_are_decoded_as_counts_need(tmp_path, monkeypatch):
    """But all of them if there are groups, each of which is looked for as a whole."""
    decoded = []
    monkeypatch.setattr(checking, "decode", lambda data, side: decoded.append(data) or decode(data, side))
    members = {f"{label}/scene{n % 5}/{n}.jpg": jpeg(n + 100 * (label == "b")) for label in "ab" for n in range(40)}
    run_split(tmp_path, members)
    assert len(decoded) == 16
    run_split(tmp_path, members, group="folder")
    assert len(decoded) == 16 + 80


def test_the_stage_reports_and_refuses(project: Project):
    write_zip(project.archive, kaggle_members(8))
    result = project.split()
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "split: pictures.zip: cat, dog: 8 train, 4 validation, 4 test\nsplit: labels from names of the files\n"
    )
    assert json.loads((project.pictures / "manifest.json").read_text())["source"] == "pictures.zip"
    project.write_params(text=PARAMS.replace("train: 4", "train: 40"))
    assert_one_line(project.split(), 3, "split: too few usable pictures: cat: have 8, need 44, dog: have 8, need 44")
    assert len(list((project.pictures / "train").rglob("*.jpg"))) == 8


@pytest.mark.slow
def test_the_locale_does_not_change_names(project: Project):
    folder = project.folder / "pictures.zip"  # `source` names it
    for number in range(8):
        for label, seed in (("Käse", number), ("Öl", number + 50)):
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / label / f"ü{number}.jpg").write_bytes(jpeg(seed))
    commands = [("stages.fetch", "data/raw/archive.zip"), ("stages.split", "data/raw/archive.zip", "data/pictures")]
    manifests = []
    for start in (project.call, lambda *command: project.run(*command, LC_ALL="C", PYTHONUTF8="0")):
        for command in commands:
            result = start(*command)
            assert (result.returncode, result.stderr) == (0, "")
        manifests.append((project.pictures / "manifest.json").read_text(encoding="utf-8"))
    assert manifests[0] == manifests[1]
    assert "Öl/ü7.jpg" in manifests[0]


def test_the_stage_names_a_missing_archive(project: Project):
    assert_one_line(project.split(), 3, "split: data/raw/archive.zip: not found; `dvc repro fetch` makes it")


def test_the_stage_names_what_is_no_archive(project: Project):
    project.archive.parent.mkdir(parents=True)
    project.archive.write_bytes(np.random.default_rng(1).bytes(1000))
    assert_one_line(project.split(), 3, "split: pictures.zip is no complete zip archive")
