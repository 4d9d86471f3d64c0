"""Bases are found by their names, sizes and files, and those at hand without building any."""

from pathlib import Path

import pytest

from smallvision.commands.named_bases import KERAS_FILES, Candidate, bases_at_hand, parse_candidate
from smallvision.core.errors import NetworkError, SurroundingsError
from smallvision.models import backbones, efficientnet_lite
from tests.conftest import Project, assert_one_line

CHOOSE = "smallvision.commands.choose_base"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mobilenet_v4", "--bases: there is no 'mobilenet_v4'; did you mean 'mobilenet_v2'?"),
        ("mobilenet@20", "--bases: mobilenet@20: expected a side greater than or equal to 46 pixels, received 20"),
        ("missing.keras", "--bases: missing.keras is no file here"),
        ("mobilenet:no.h5", "expected a weights file behind the colon; 'no.h5' is no file here"),
        ("mobilenet:@64", "expected a weights file behind the colon; '' is no file here"),
    ],
)
def test_a_base_that_does_not_exist_is_refused_at_once(project: Project, text, words):
    assert_one_line(project.call(CHOOSE, "--bases", "vgg16", text), 2, "choose_base: ", words)


def test_a_name_may_have_a_size_and_a_file_of_weights(tmp_path):
    file = tmp_path / "a@2:b.keras"
    file.touch()
    assert parse_candidate(f"{file}@96") == Candidate(str(file), image_size=96)
    assert parse_candidate(str(file)) == Candidate(str(file))
    weights = tmp_path / "weights.h5"
    weights.touch()
    assert parse_candidate(f"mobilenet_25:{weights}@160") == Candidate("mobilenet_25", str(weights), 160)
    assert parse_candidate("xception") == Candidate("xception")


def test_a_package_that_is_missing_is_named(project: Project, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert_one_line(project.call(CHOOSE, "--bases", "efficientnet_lite1"), 5, "efficientnet_lite1", "make setup-bases")


def test_bases_at_hand_are_those_whose_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "weights_file", lambda name: Path(name))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / KERAS_FILES["mobilenet_25"]).touch()
    names = [*efficientnet_lite.LITE, "mobilenet_25"]
    assert bases_at_hand(tmp_path) == [Candidate(name) for name in names]

    def missing(name):
        raise SurroundingsError(name)

    monkeypatch.setattr(efficientnet_lite, "weights_file", missing)
    assert bases_at_hand(tmp_path) == [Candidate("mobilenet_25")]
    with pytest.raises(SurroundingsError, match="no base is at hand; `make setup-bases` installs some"):
        bases_at_hand(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_25",
        *(pytest.param(name, marks=pytest.mark.slow) for name in backbones.BASES if name != "mobilenet_25"),
    ],
)
def test_keras_would_download_the_file_that_is_looked_for(name, monkeypatch):
    asked = []

    def get_file(fname, *_, **__):
        asked.append(fname)
        raise RuntimeError("no download")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(NetworkError, match="no download"):
        backbones.build(name, "imagenet", backbones.default_image_size(name))
    assert asked == [KERAS_FILES[name]]
