"""The book's split, without bad pictures, and without duplicates across subsets."""

import hashlib
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smallvision.core.errors import InputError
from smallvision.core.params import Split
from smallvision.data.pictures.manifest import SUBSETS
from smallvision.data.sources.archives import PictureArchive
from smallvision.data.sources.names import name_of
from smallvision.data.splitting.subsets import assign, assign_by_share, sizes_by_share
from stages.split import split
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, make_picture, write_zip

SIZES = {"train": 4, "validation": 2, "test": 2}


def run_split(folder, members, **wanted):
    wanted = Split(**{**SIZES, "max_rejected": 0.5, **wanted})
    return split(write_zip(folder / "archive.zip", members), folder / "pictures", wanted, "drawn")


def names(manifest, subset, label):
    return [entry.name for entry in manifest.subset(subset) if entry.label == label]


def written(folder):
    return sorted(path.relative_to(folder / "pictures").as_posix() for path in (folder / "pictures").rglob("*.*"))


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
    assert len(written(tmp_path)) == 16 + 1
    assert manifest.classes == ["cat", "dog"]
    assert manifest.labels("test") == [0, 0, 1, 1]


def test_training_on_fewer_leaves_the_other_subsets_alone(tmp_path):
    manifest = run_split(tmp_path, kaggle_members(9))
    fewer = manifest.limit_train(3)
    for label in ("cat", "dog"):
        assert names(fewer, "train", label) == [f"{label}.{n}.jpg" for n in range(3)]
    assert all(fewer.subset(subset) == manifest.subset(subset) for subset in ("validation", "test"))
    assert manifest.limit_train(None) == manifest.limit_train(99) == manifest


def test_the_next_picture_takes_the_place_of_a_bad_one(tmp_path):
    members = kaggle_members(11)
    members["train/cat.1.jpg"] = members["train/cat.1.jpg"][:-300]
    members["train/cat.6.jpg"] = b"no picture"
    members["train/cat.8.jpg"] = b""
    manifest = run_split(tmp_path, members)
    assert names(manifest, "train", "cat") == ["cat.0.jpg", "cat.9.jpg", "cat.2.jpg", "cat.3.jpg"]
    assert names(manifest, "validation", "cat") == ["cat.4.jpg", "cat.5.jpg"]
    assert names(manifest, "test", "cat") == ["cat.10.jpg", "cat.7.jpg"]
    assert {row["source"]: row["reason"].split()[0] for row in manifest.rejected} == {
        "train/cat.1.jpg": "damaged:",
        "train/cat.6.jpg": "no",
        "train/cat.8.jpg": "an",
    }


def test_a_format_that_is_not_supported_is_rejected_not_overlooked(tmp_path):
    members = kaggle_members(9)
    members["train/cat.3.heic"] = b"\0\0\0\x18ftypheic" + members.pop("train/cat.3.jpg")
    manifest = run_split(tmp_path, members)
    (rejected,) = manifest.rejected
    assert rejected["source"] == "train/cat.3.heic"
    assert "HEIC or AVIF is not supported; convert it to JPEG" in rejected["reason"]


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


@given(st.data())
def test_no_group_of_duplicates_is_in_two_subsets(data):
    sizes = {subset: data.draw(st.integers(1, 5)) for subset in SUBSETS}
    total = sum(sizes.values())
    labels = [label for label in "abc"[: data.draw(st.integers(2, 3))] for _ in range(total)]
    group_of = data.draw(st.lists(st.integers(0, 12), min_size=len(labels), max_size=len(labels)))
    groups = [[i for i, g in enumerate(group_of) if g == wanted] for wanted in range(5)]
    groups = [group for group in groups if len(group) > 1]
    try:
        subsets = assign(labels, groups, sizes)
    except InputError as error:
        assert "are copies of others" in str(error)
        return
    for group in groups:
        assert len({subsets[index] for index in group}) == 1
    for label in set(labels):
        got = [subset for subset, each in zip(subsets, labels, strict=True) if each == label]
        assert {subset: got.count(subset) for subset in SUBSETS} == sizes


SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
shares = st.tuples(*[st.floats(0.01, 0.98)] * 3).map(lambda t: dict(zip(SUBSETS, (x / sum(t) for x in t), strict=True)))


@given(st.integers(3, 5000), shares)
def test_shares_are_kept_to_less_than_a_picture_but_never_to_none(count, shares):
    sizes = sizes_by_share(count, shares)
    assert sum(sizes.values()) == count
    assert min(sizes.values()) >= 1
    exact = [shares[subset] * count for subset in SUBSETS]
    if min(exact) >= 1:
        assert all(abs(sizes[subset] - quota) < 1 for subset, quota in zip(SUBSETS, exact, strict=True))


@given(st.data())
def test_by_share_no_group_is_in_two_subsets_and_every_class_is_in_each(data):
    counts = data.draw(st.lists(st.integers(3, 30), min_size=2, max_size=4))
    labels = [label for label, count in zip("abcd", counts, strict=False) for _ in range(count)]
    sizes = {label: sizes_by_share(labels.count(label), data.draw(shares)) for label in dict.fromkeys(labels)}
    most = data.draw(st.sampled_from([2, 4, 10, 60]))
    group_of = data.draw(st.lists(st.integers(0, most), min_size=len(labels), max_size=len(labels)))
    if data.draw(st.booleans()):  # no picture with two labels
        group_of = [f"{label}{group}" for label, group in zip(labels, group_of, strict=True)]
    groups = [[i for i, g in enumerate(group_of) if g == wanted] for wanted in dict.fromkeys(group_of)]
    conflicts = any(len({labels[index] for index in group}) > 1 for group in groups)
    distinct = {label: sum(label in {labels[i] for i in group} for group in groups) for label in sizes}
    groups = [group for group in groups if len(group) > 1]
    try:
        subsets = assign_by_share(labels, groups, sizes)
    except InputError as error:
        assert "copies of a picture stay in one subset, which leaves none of" in str(error)
        assert conflicts or min(distinct.values()) < 3
        return
    for group in groups:
        assert len({subsets[index] for index in group}) == 1
    got = {label: [s for s, each in zip(subsets, labels, strict=True) if each == label] for label in sizes}
    assert all(set(found) == set(SUBSETS) for found in got.values())
    if not groups:
        assert {label: {s: found.count(s) for s in SUBSETS} for label, found in got.items()} == sizes
        assert all(found == sorted(found, key=SUBSETS.index) for found in got.values())  # in order
    if not conflicts:
        beyond = max((len(group) for group in groups), default=1) - 1
        for label, found in got.items():
            assert all(-2 * beyond <= found.count(s) - sizes[label][s] <= beyond for s in SUBSETS)


def test_by_share_three_groups_of_copies_go_to_three_subsets():
    groups = [list(range(start, start + 5)) for start in (0, 5, 10)]
    subsets = assign_by_share(["a"] * 15, groups, {"a": {"train": 11, "validation": 2, "test": 2}})
    assert [subsets[group[0]] for group in groups] == list(SUBSETS)


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
    assert names(manifest, "train", "b") == [f"{n}.jpg" for n in range(5)]


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


def test_by_share_every_class_needs_a_picture_for_each_subset(tmp_path):
    members = kaggle_members(4)
    del members["train/dog.0.jpg"]
    members["train/dog.1.jpg"] = b"no picture"
    with pytest.raises(InputError, match=r"cat: have 4, need 3, dog: have 2, need 3 \(1 rejected\)"):
        run_split(tmp_path, members, **SHARES)
    members = kaggle_members(4)
    members["train/dog.1.jpg"] = members["train/dog.2.jpg"] = members["train/dog.3.jpg"]
    with pytest.raises(InputError, match="leaves none of dog for test; remove copies, or add"):
        run_split(tmp_path, members, **SHARES)
    assert written(tmp_path) == []


def test_too_few_pictures_are_counted_before_anything_is_written(tmp_path):
    members = kaggle_members(8)
    members["train/dog.3.jpg"] = b"no picture"
    run_split(tmp_path, kaggle_members(8))
    before = written(tmp_path)
    with pytest.raises(InputError) as caught:
        run_split(tmp_path, members)
    assert "cat: have 8, need 8, dog: have 7, need 8 (1 rejected)" in str(caught.value)
    assert written(tmp_path) == before


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


def test_a_side_that_is_too_short_for_the_user(tmp_path):
    members = kaggle_members(9)
    members["train/dog.3.jpg"] = jpeg(1, height=40)
    assert not run_split(tmp_path, members).rejected
    assert run_split(tmp_path, members, min_side=41).rejected == [
        {"source": "train/dog.3.jpg", "reason": "60x40 pixels, a side under 41"}
    ]


def test_the_format_is_noted_and_so_is_an_animation(tmp_path):
    members = kaggle_members(8)
    for number, kind in enumerate(["PNG", "GIF", "WEBP"]):
        data = io.BytesIO()
        frames = [make_picture(100 + number), make_picture(200 + number)]
        frames[0].save(data, kind, **({} if kind == "PNG" else {"save_all": True, "append_images": frames[1:]}))
        members[f"train/cat.{number}.jpg"] = data.getvalue()
    formats = {entry.source: entry.format for entry in run_split(tmp_path, members).pictures}
    assert [formats[f"train/cat.{n}.jpg"] for n in range(4)] == ["PNG", "GIF, animated", "WEBP, animated", "JPEG"]


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


def test_an_archive_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    read, seen = PictureArchive.read, set()

    def changing(archive, member):
        data = read(archive, member)
        if member.path in seen:
            return data + b"changed"
        seen.add(member.path)
        return data

    monkeypatch.setattr(PictureArchive, "read", changing)
    with pytest.raises(InputError, match=r"train/cat.0.jpg was changed while the archive was read"):
        run_split(tmp_path, kaggle_members(8))
    assert written(tmp_path) == []


def test_nothing_is_left_of_a_larger_split(tmp_path):
    run_split(tmp_path, kaggle_members(8))
    run_split(tmp_path, kaggle_members(8), train=1, validation=1, test=1)
    assert len(written(tmp_path)) == 6 + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "pictures"]


def test_names_that_repeat_or_are_too_long_get_numbers(tmp_path):
    members = {f"{year}/a/{n}.jpg": jpeg(10 * year + n) for year in (1, 2) for n in range(4)}
    members |= {f"3/b/{n}{'ä' * 120}.jpg": jpeg(50 + n) for n in range(8)}
    manifest = run_split(tmp_path, members)
    assert names(manifest, "train", "a") == [f"{n}__{n}.jpg" for n in range(4)]
    assert names(manifest, "validation", "a") == ["4__0.jpg", "5__1.jpg"]
    assert [name[:4] for name in names(manifest, "train", "b")] == [f"{n}__{n}" for n in range(4)]
    assert {entry.path for entry in manifest.pictures} < set(written(tmp_path))


def test_the_same_manifest_on_every_run_and_order_of_members(tmp_path):
    first = run_split(tmp_path / "1", kaggle_members(9))
    second = run_split(tmp_path / "2", dict(reversed(kaggle_members(9).items())))
    assert first.pictures == second.pictures


def test_reports_name_no_folder_of_this_machine():
    assert name_of("drawn") == "drawn"
    assert name_of("/home/me/photos.zip") == "photos.zip"
    assert name_of("./drawn") == "./drawn"
    assert name_of("https://me:secret@host/a/photos.zip;sig=secret?token=secret") == "photos.zip"
    assert "secret" not in name_of("https://me:secret@host/?token=secret")


def test_the_stage_reports_and_refuses(project: Project):
    write_zip(project.archive, kaggle_members(8))
    result = project.split()
    assert result.returncode == 0, result.stderr
    assert result.stdout == "split: pictures.zip: cat, dog: 8 train, 4 validation, 4 test\n"
    assert json.loads((project.pictures / "manifest.json").read_text())["source"] == "pictures.zip"
    project.write_params(text=PARAMS.replace("train: 4", "train: 40"))
    assert_one_line(project.split(), 3, "split: too few usable pictures: cat: have 8, need 44, dog: have 8, need 44")
    assert len(list((project.pictures / "train").rglob("*.jpg"))) == 8


def test_the_locale_does_not_change_names(project: Project):
    folder = project.folder / "pictures.zip"  # as `source` says
    for number in range(8):
        for label, seed in (("Käse", number), ("Öl", number + 50)):
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / label / f"ü{number}.jpg").write_bytes(jpeg(seed))
    manifests = []
    for environment in ({"PYTHONUTF8": "1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        for stage in (
            ("stages.fetch", "data/raw/archive.zip"),
            ("stages.split", "data/raw/archive.zip", "data/pictures"),
        ):
            result = project.run(*stage, **environment)
            assert (result.returncode, result.stderr) == (0, "")
        manifests.append((project.pictures / "manifest.json").read_text(encoding="utf-8"))
    assert manifests[0] == manifests[1]
    assert "Öl/ü7.jpg" in manifests[0]


def test_the_stage_names_a_missing_archive(project: Project):
    assert_one_line(project.split(), 3, "split: data/raw/archive.zip: not found; `dvc repro fetch` makes it")


def test_the_stage_names_what_is_no_archive(project: Project):
    project.archive.parent.mkdir(parents=True)
    project.archive.write_bytes(np.random.default_rng(1).bytes(1000))
    assert_one_line(project.split(), 3, "split: archive.zip is no complete zip archive")
