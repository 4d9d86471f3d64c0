"""Bases of timm and transformers are converted by keras-hub, and each thing that can be wrong with one has its line."""

import importlib.util
import json
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from smallvision.core.errors import InputError, ParameterError, SurroundingsError
from smallvision.models import backbones
from smallvision.models.hub_folder import IMAGENET, HubFolder
from smallvision.models.keras_file import load_safely
from tests.conftest import PARAMS, Project, assert_one_line, run_stages, write_zip
from tests.models.dinov2 import CONFIG, EXPECTED, PLACES, SIDE, write_dinov2

FIND = importlib.util.find_spec
needs_hub = pytest.mark.skipif(
    not (FIND("keras_hub") and FIND("safetensors")), reason="keras-hub is missing: `make setup-hub` installs it"
)
RESNET = {
    "architecture": "resnet18",
    "pretrained_cfg": {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [1] * 3},
}


@pytest.fixture
def installed(request, monkeypatch):
    """Whether keras-hub seems to be installed; it is not imported."""
    found = {"keras_hub": request.param, "safetensors": request.param}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found[name] if name in found else FIND(name))


@pytest.fixture
def folder(tmp_path):
    """A folder that says the right things and holds no weights."""
    path = tmp_path / "base"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "model.safetensors").write_bytes(b"")
    return path


def write_recipe(project: Project, backbone: object) -> None:
    recipe = f"{{{{backbone: '{backbone}', head: logistic, mirror: true, mirror_test: true}}}}"
    project.write_params(text=PARAMS.replace("{{epochs: 1}}", recipe, 1))


@pytest.mark.parametrize("installed", [False], indirect=True)
@pytest.mark.parametrize("place", ["folder", "repository"])
def test_without_keras_hub_the_remedy_is_named_before_tensorflow_starts(installed, project: Project, folder, place):
    backbone = folder if place == "folder" else "hf:owner/name"
    write_recipe(project, backbone)
    assert_one_line(project.train(), 5, f"train: {backbone}: needs keras-hub, which is not", "`make setup-hub`")


@pytest.mark.parametrize("installed", [False], indirect=True)
def test_a_saved_model_with_layers_of_keras_hub_names_the_remedy_too(installed, tmp_path):
    config = {"module": "keras_hub.src.models.nothing", "class_name": "Nothing", "registered_name": "keras_hub>Nothing"}
    path = write_zip(tmp_path / "m.keras", {"config.json": json.dumps(config | {"config": {}}).encode()})
    with pytest.raises(SurroundingsError, match=r"m\.keras: needs keras-hub, which is not installed; `make setup-hub`"):
        load_safely(path)
    write_zip(path, {"config.json": json.dumps(config).replace("keras_hub", "other").encode()})
    with pytest.raises(InputError, match=r"m\.keras: cannot be loaded"):
        load_safely(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", None, r"config\.json: not found; expected a base in the format of timm or transformers"),
        ("config.json", "{", r"config\.json: not the JSON of timm or transformers: Expecting property name"),
        ("config.json", "[1]", r"config\.json: not the JSON of timm or transformers"),
        ("config.json", '{"patch_size": 0}', r"config\.json: patch_size: Input should be greater than 0"),
        ("config.json", '{"architecture": "densenet121"}', "densenet121: keras-hub computes other features"),
        ("config.json", '{"model_type": "vit"}', "vit: keras-hub makes no network of it that can be saved"),
        ("preprocessor_config.json", "{", r"preprocessor_config\.json: not the JSON"),
        ("model.safetensors", None, r"base: no model\.safetensors; expected a base in the format of"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_before_tensorflow_starts(folder, name, content, words):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=words):
        backbones.require_known(str(folder), "imagenet")


def test_a_folder_that_is_called_like_a_base_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "vgg16").mkdir()
    monkeypatch.chdir(tmp_path)
    backbones.require_known("vgg16", "imagenet")
    assert backbones.default_image_size("vgg16") == 224


@pytest.mark.parametrize("installed", [True], indirect=True)
def test_pictures_that_cannot_be_cut_into_patches_are_refused(installed, folder):
    with pytest.raises(ParameterError, match=r"image_size: expected a multiple of 14, .* received 225"):
        backbones.build(str(folder), "imagenet", 225)


@pytest.mark.parametrize("installed", [True], indirect=True)
def test_a_repository_that_cannot_be_downloaded_ends_in_one_line(installed, project: Project, monkeypatch):
    hub = SimpleNamespace(snapshot_download=Mock(side_effect=OSError("no connection\nat all")))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    write_recipe(project, "hf:owner/name")
    assert_one_line(project.train(), 4, "train: hf:owner/name: no connection; try again, or download its files")
    write_recipe(project, "hf:name")
    assert_one_line(project.train(), 2, "train: params.yaml: backbone: expected hf:owner/name; received 'hf:name'")


@pytest.mark.parametrize("installed", [True], indirect=True)
def test_only_the_files_that_are_needed_are_downloaded(installed, folder, monkeypatch):
    download = Mock(return_value=str(folder))
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=download))
    assert backbones.default_image_size("hf:owner/name") == SIDE
    wanted = ["config.json", "preprocessor_config.json", "model*.safetensors", "model*.safetensors.index.json"]
    download.assert_called_once_with("owner/name", allow_patterns=wanted)


@pytest.mark.parametrize(
    ("config", "processor", "side"),
    [
        (RESNET, {}, 160),
        (CONFIG | {"image_size": 518}, {}, 224),
        (CONFIG, {"crop_size": {"height": 98, "width": 98}}, 98),
        (CONFIG, {"crop_size": 98}, 98),
        ({"model_type": "dinov2"}, {}, 224),
    ],
)
def test_the_image_size_is_the_one_that_pictures_of_the_base_are_cut_to(folder, config, processor, side):
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    assert HubFolder(folder).image_size == side


def test_normalisation_is_that_of_the_base_and_a_guess_is_said(folder, capsys):
    assert HubFolder(folder).normalisation() == IMAGENET
    assert "base: says nothing about normalisation; ImageNet's mean and deviation are used" in capsys.readouterr().out
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}')
    assert HubFolder(folder).normalisation() == ([0.1, 0.2, 0.3], [1, 2, 3])
    (folder / "preprocessor_config.json").unlink()
    (folder / "config.json").write_text(json.dumps(RESNET))
    assert HubFolder(folder).normalisation() == ([0.5] * 3, [1] * 3)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@needs_hub
def test_a_base_of_transformers_computes_what_it_computed_there(tmp_path):
    base = backbones.build(str(write_dinov2(tmp_path / "base")), "imagenet", SIDE)
    assert base.output_shape == (None, 4, 4, 32)
    assert not [layer for layer in base.layers if isinstance(layer, keras.Model)]
    maps = np.asarray(base(np.random.default_rng(1).random((1, SIDE, SIDE, 3), np.float32)))
    assert np.allclose([maps[0, row, column, :4] for row, column in PLACES], EXPECTED, atol=3e-5)


@pytest.mark.slow
@needs_hub
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"no weights", "base: cannot be used as a base: "),
        ("config.json", b'{"architecture": "convnext_tiny"}', "no converter for timm models .*convnext_tiny"),
        ("config.json", b'{"model_type": "other"}', "no converter for .*other"),
        ("config.json", b'{"model_type": "bert"}', "base: cannot be used as a base: "),
    ],
)
def test_what_keras_hub_cannot_convert_ends_in_one_line(tmp_path, name, content, words):
    folder = write_dinov2(tmp_path / "base")
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        backbones.build(str(folder), "imagenet", SIDE)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@needs_hub
def test_hugging_face_out_of_reach_ends_in_one_line(project: Project, tmp_path):
    """A proxy that nobody runs makes sure that there is no connection, on a machine with a network too."""
    write_recipe(project, "hf:owner/name")
    command = ("stages.train", "data/pictures", ".", "train.json", ".", "data/tensorboard")
    result = project.run(*command, https_proxy="http://127.0.0.1:9", HF_HOME=str(tmp_path / "cache"))
    assert_one_line(result, 4, "train: hf:owner/name: ", "; try again, or download its files")


@pytest.mark.slow
@needs_hub
def test_a_base_of_transformers_goes_through_the_whole_pipeline(project: Project, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_recipe(project, write_dinov2(tmp_path / "base"))
    run_stages(project)
    assert (project.folder / "metrics/plots/gradcam.png").stat().st_size > 10_000
    # Another process has not imported keras-hub yet.
    result = project.run("smallvision", "export", "--format", "features", "f.tflite")
    assert result.returncode == 0, result.stderr
    export = "smallvision.commands.export"
    assert project.call(export, "--format", "litert", "m.tflite").returncode == 0
    result = project.call(export, "--format", "onnx", "m.onnx")
    assert_one_line(result, 3, "export: m.onnx: ONNX cannot take this network: ", "; use --format litert")
    result = project.call("smallvision.commands.predict", next(project.pictures.glob("test/*/*.jpg")))
    assert (result.returncode, result.stderr) == (0, "")
