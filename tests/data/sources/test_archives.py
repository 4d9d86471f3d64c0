"""Archives in every layout; `test_unsafe_archives.py` has those that must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.data.sources.archives import natural_key, open_pictures
from tests.conftest import jpeg, kaggle_members, write_zip

PICTURE = jpeg(1)


def found(path):
    with open_pictures(path) as archive:
        return {label: [member.path for member in members] for label, members in archive.members.items()}


KAGGLE = {
    "cat": ["train/cat.0.jpg", "train/cat.1.jpg", "train/cat.2.jpg"],
    "dog": ["train/dog.0.jpg", "train/dog.1.jpg", "train/dog.2.jpg"],
}


def test_kaggle_layout_takes_the_label_from_the_name(tmp_path):
    assert found(write_zip(tmp_path / "a.zip", kaggle_members(3))) == KAGGLE


def test_kaggle_layout_with_train_zip_inside(tmp_path):
    inner = write_zip(tmp_path / "train.zip", kaggle_members(3)).read_bytes()
    outer = {"test1.zip": b"not looked at", "train.zip": inner, "sampleSubmission.csv": b"id,label"}
    assert found(write_zip(tmp_path / "a.zip", outer)) == KAGGLE


def test_unlabelled_test_pictures_beside_kaggles_are_left_out(tmp_path):
    assert found(write_zip(tmp_path / "a.zip", kaggle_members(3) | {"test1/1.jpg": PICTURE})) == KAGGLE


def test_class_folders_at_any_depth(tmp_path):
    members = {"x/hen/2.jpg": PICTURE, "x/hen/10.JPG": PICTURE, "x/owl/a.png": PICTURE, "x/emu/b c.jpeg": PICTURE}
    labels = {"emu": ["x/emu/b c.jpeg"], "hen": ["x/hen/2.jpg", "x/hen/10.JPG"], "owl": ["x/owl/a.png"]}
    assert found(write_zip(tmp_path / "a.zip", members)) == labels


def test_class_folders_win_over_numbered_names_in_them(tmp_path):
    members = {"cats/cat.0.jpg": PICTURE, "cats/cat.1.jpg": PICTURE, "dogs/dog.0.jpg": PICTURE}
    assert set(found(write_zip(tmp_path / "a.zip", members))) == {"cats", "dogs"}


def test_kaggle_names_in_several_folders_that_hold_all_labels(tmp_path):
    members = {
        f"{f}/{label}.{n}.jpg": PICTURE for f in ("train", "validation") for label in ("cat", "dog") for n in (0, 1)
    }
    assert set(found(write_zip(tmp_path / "a.zip", members))) == {"cat", "dog"}


def test_numbered_series_in_class_folders_are_no_labels(tmp_path):
    members = {f"{folder}.{n:03}.jpg": PICTURE for folder in ("hen/s1", "hen/s2", "hen/s3", "owl/s1") for n in range(3)}
    assert set(found(write_zip(tmp_path / "a.zip", members))) == {"hen", "owl"}


def test_a_label_is_never_a_path(tmp_path):
    with pytest.raises(InputError, match="at least two classes"):
        found(write_zip(tmp_path / "a.zip", {"train/...0.jpg": PICTURE, "train/..1.1.jpg": PICTURE}))


def test_two_numbered_names_in_a_class_folder_do_not_make_a_kaggle_layout(tmp_path):
    members = {f"hen/{n}.jpg": PICTURE for n in range(4)} | {"owl/a.1.jpg": PICTURE, "owl/b.2.jpg": PICTURE}
    assert set(found(write_zip(tmp_path / "a.zip", members))) == {"hen", "owl"}


def test_petimages_with_its_stray_files(tmp_path):
    members = {f"PetImages/{label}/{n}.jpg": PICTURE for label in ("Cat", "Dog") for n in (0, 1)}
    stray = {"readme[1].txt": b"x", "PetImages/Cat/Thumbs.db": b"x", "__MACOSX/PetImages/Cat/._0.jpg": b"x"}
    path = write_zip(tmp_path / "a.zip", members | stray)
    assert set(found(path)) == {"Cat", "Dog"}
    with open_pictures(path) as archive:
        assert archive.ignored == sorted(stray)


@pytest.mark.parametrize("members", [{}, {"a.txt": b""}, {"cat/1.jpg": PICTURE}, {"train/cat.0.jpg": PICTURE}])
def test_fewer_than_two_classes_are_refused(tmp_path, members):
    with pytest.raises(InputError, match=r"at least two classes, as train/cat\.0\.jpg or class/picture\.jpg; found"):
        found(write_zip(tmp_path / "a.zip", members))


@given(st.lists(st.text(alphabet="ab01.²", max_size=6)))
def test_natural_order_does_not_depend_on_the_order_before(names):
    assert sorted(sorted(names, reverse=True), key=natural_key) == sorted(names, key=natural_key)


def test_natural_order_counts():
    names = ["cat.10", "cat.9", "cat.01", "cat.1", "Cat.2", "cat." + 5000 * "9"]
    assert sorted(names, key=natural_key) == ["Cat.2", "cat.01", "cat.1", "cat.9", "cat.10", "cat." + 5000 * "9"]
