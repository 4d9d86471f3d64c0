"""Every base takes RGB in [0, 1], whatever input its weights were trained with."""

import errno
import os
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from smallvision.core.errors import InputError, NetworkError, ParameterError
from smallvision.models import backbones
from smallvision.models.keras_file import hash_weights
from tests.conftest import PARAMS, Project, assert_one_line, kaggle_members, write_zip

SIZE = 64
PICTURES = np.random.default_rng(1).random((2, SIZE, SIZE, 3), np.float32)
MODULES = {
    "vgg16": keras.applications.vgg16,
    "mobilenet": keras.applications.mobilenet,
    "mobilenet_25": keras.applications.mobilenet,
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet_v3_small": keras.applications.mobilenet_v3,
    "mobilenet_v3_large": keras.applications.mobilenet_v3,
    "efficientnet_v2_b0": keras.applications.efficientnet_v2,
    "convnext_tiny": keras.applications.convnext,
    "xception": keras.applications.xception,
    "resnet50_v2": keras.applications.resnet_v2,
}


def original(name: str) -> keras.Model:
    """The base as Keras builds it, with random weights."""
    keras.utils.set_random_seed(3)
    base = backbones.BASES[name]
    size = max(SIZE, 71) if name == "xception" else SIZE
    constructor = getattr(keras.applications, base.constructor)
    width = {"alpha": base.alpha} if base.alpha else {}
    return constructor(include_top=False, weights=None, input_shape=(size, size, 3), **width)


@pytest.fixture(params=["one layer", pytest.param("as Keras has it", marks=pytest.mark.slow)])
def mobilenet(request, monkeypatch) -> None:
    """MobileNet of any width, which takes a second to build, or one layer behind the same interface."""

    def build(*, include_top, weights, input_tensor=None, input_shape=None, alpha=1):
        assert (include_top, weights) == (False, None)
        picture = keras.Input(input_shape) if input_tensor is None else input_tensor
        outputs = keras.layers.Conv2D(int(32 * alpha), 3, name="conv1")(picture)
        return keras.Model(keras.utils.get_source_inputs(picture), outputs)

    if request.param == "one layer":
        monkeypatch.setattr(keras.applications, "MobileNet", build)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # some bases expect a list of one input
@pytest.mark.parametrize("name", backbones.BASES)
def test_a_base_does_its_own_preprocessing_and_survives_saving(name, tmp_path):
    theirs = original(name)
    size = theirs.input_shape[1]
    theirs.save_weights(tmp_path / "base.weights.h5")
    ours = backbones.build(name, str(tmp_path / "base.weights.h5"), size)
    pictures = np.random.default_rng(1).random((2, size, size, 3), np.float32)
    expected = np.asarray(theirs(MODULES[name].preprocess_input(pictures * 255)))
    found = np.asarray(ours(pictures))
    assert np.allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert hash_weights(ours) == hash_weights(theirs)
    ours.save(tmp_path / "base.keras")
    again = backbones.build(str(tmp_path / "base.keras"), "imagenet", size)
    assert np.allclose(again(pictures), found, atol=1e-5 * np.abs(found).max())


def test_every_base_keras_documents_is_checked():
    assert MODULES.keys() == backbones.BASES.keys()
    assert backbones.default_image_size("xception") == 299
    assert backbones.default_image_size("base.keras") is None


def test_weights_of_another_shape_name_the_layer(mobilenet, tmp_path):
    original("mobilenet_25").save_weights(tmp_path / "base.weights.h5")
    with pytest.raises(InputError, match=r"no weights of mobilenet: .*conv1"):
        backbones.build("mobilenet", str(tmp_path / "base.weights.h5"), SIZE)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_file_that_holds_no_weights_is_named(mobilenet, tmp_path, content):
    path = tmp_path / "base.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"base\.h5: no weights of mobilenet_25"):
        backbones.build("mobilenet_25", str(path), SIZE)


def test_a_saved_base_of_another_size_or_shape_is_named(mobilenet, tmp_path):
    original("mobilenet_25").save(tmp_path / "base.keras")
    with pytest.raises(InputError, match="expected a base from 96x96 RGB"):
        backbones.build(str(tmp_path / "base.keras"), "imagenet", 96)
    picture = keras.Input((SIZE, SIZE, 3))
    keras.Model(picture, [picture * 2, picture * 3]).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match="expected a base from 64x64 RGB"):
        backbones.build(str(tmp_path / "two.keras"), "imagenet", SIZE)
    keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten()]).save(tmp_path / "flat.keras")
    with pytest.raises(InputError, match="expected a base from 64x64 RGB"):
        backbones.build(str(tmp_path / "flat.keras"), "imagenet", SIZE)


def test_a_saved_base_with_code_inside_is_refused(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "base.keras")
    with pytest.raises(InputError, match=r"base\.keras: cannot be loaded: .*Lambda"):
        backbones.build(str(tmp_path / "base.keras"), "imagenet", SIZE)


def test_names_and_paths_are_checked_before_tensorflow_starts(tmp_path):
    backbones.require_known("vgg16", "imagenet")
    with pytest.raises(
        ParameterError, match=r"expected a \.keras file or one of efficientnet_lite0, .*vgg16, .*; received 'vgg19'"
    ):
        backbones.require_known("vgg19", "imagenet")
    with pytest.raises(ParameterError, match=r"'nowhere\.h5' is no file here"):
        backbones.require_known("vgg16", "nowhere.h5")


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["nothing", "half a file"])
def test_weights_that_cannot_be_downloaded_end_in_one_line(project: Project, tmp_path, kept, monkeypatch):
    half = tmp_path / "keras/models/mobilenet_2_5_224_tf_no_top.h5"
    if kept == "half a file":  # Keras knows no hash of this file, so it would try to open it in every run
        half.parent.mkdir(parents=True)
        half.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
        os.utime(half, (0, 0))
    write_zip(project.archive, kaggle_members(8))
    recipe = "backbone: mobilenet_25, image_size: 64, weights: imagenet"
    project.write_params(text=PARAMS.replace("baseline: {{epochs: 1}}", f"baseline: {{{{epochs: 1, {recipe}}}}}"))
    assert project.split().returncode == 0
    # A proxy that nobody runs makes sure that there is no connection, on a machine with a network too.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))
    result = project.train()
    assert_one_line(result, 4, "train: weights of mobilenet_25: ", "mobilenet_2_5_224_tf_no_top.h5", "set the recipe's")
    assert not half.exists()
    assert ("cut off; downloading it again" in result.stdout) == (kept == "half a file")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EACCES, "Permission denied")],
)
def test_a_full_disk_is_no_matter_of_the_network(monkeypatch, error):
    monkeypatch.setattr(backbones, "_with_imagenet", Mock(side_effect=error))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", "nowhere")
    with pytest.raises(type(error)):
        backbones.build("mobilenet_25", "imagenet", SIZE)


def test_a_download_that_another_process_may_be_writing_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(backbones, "_with_imagenet", Mock(side_effect=OSError("truncated file")))
    half = tmp_path / "models/half.h5"
    half.parent.mkdir()
    half.write_bytes(b"\x89HDF")
    for is_new in (True, False):
        with pytest.raises(NetworkError, match="mobilenet_25: truncated file; try again"):
            backbones.build("mobilenet_25", "imagenet", SIZE)
        assert half.exists() == is_new
        if is_new:
            os.utime(half, (0, 0))
