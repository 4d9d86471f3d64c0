"""Which arithmetic is chosen, and that several devices train as one does.

Two logical CPUs stand for two GPUs, in processes of their own.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from smallvision.training import hardware
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16\n", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16\n", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n", False),
        ("", False),
    ],
)
def test_bfloat16_where_it_is_faster(tmp_path, cpuinfo, fast):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert hardware.is_fast_in_bfloat16(tmp_path / "cpuinfo") is fast
    assert hardware.is_fast_in_bfloat16(tmp_path / "missing") is False


def test_a_plan_that_is_not_settled_trains_nowhere():
    with pytest.raises(KeyError, match="auto"):
        hardware.use_all_devices("auto")


def test_precision_is_kept_or_chosen():
    assert hardware.choose_precision("float32") == "float32"
    assert hardware.choose_precision("bfloat16") == "bfloat16"
    assert hardware.choose_precision("auto") in ("float32", "bfloat16")


SCRIPT = """
import json, sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

folder, kind, *devices_of_runs = sys.argv[1:]
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from smallvision.core.params import Augment
from smallvision.models.normalisation import FusedNormalisation
from smallvision.training.checkpoints import Checkpoints
from smallvision.training.fitting import fit
from smallvision.training.hardware import use_all_devices
from smallvision.training.hooks import Hooks
from smallvision.training.recipe import NETWORKS
from smallvision.training.transfer import fit_on_base
from tests.training.helpers import bright_and_dark, end_after, make_base, make_plan

if kind == "residual":
    # A rounding of float32 decides now and then which way a maximum or a ReLU goes, and from there trainings part.
    in_policy = keras.config.set_dtype_policy
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy = lambda name: in_policy("float64")
    FusedNormalisation.call = keras.layers.BatchNormalization.call  # TensorFlow's operation is of float32 only

DATA = bright_and_dark(26), bright_and_dark(12)  # the last batch has two pictures, one for each device
OPTIONS = {"epochs": 3, "lr": 1e-4, "schedule": "cosine"}
AUGMENT = Augment(rotation=20, flip=True, mixup=0.2)
GROWING = AUGMENT.model_copy(update={"size": 62, "first_size": 46})

def train(count, checkpoints):
    hooks = Hooks(checkpoints)
    with use_all_devices("cpu") if count == "2" else nullcontext() as scope:
        assert (scope is not None) == (count == "2")
        if kind == "finetuned":
            top = {"unfreeze": "two_conv", "finetune_lr": 1e-4, "finetune_epochs": 3}
            plan = make_plan(backbone="b", units=4, augment=AUGMENT, **top, **OPTIONS)
            return fit_on_base(make_base(), *DATA, 2, plan, hooks)
        size, augment = (None, GROWING) if kind == "residual" else (46, AUGMENT)
        network, optimizer = ("convnet", "muon") if kind == "muon" else (kind, "rmsprop")
        plan = make_plan(network=network, augment=augment, optimizer=optimizer, **OPTIONS)
        return fit(partial(NETWORKS[network], size, 2), *DATA, plan, hooks)

results = []
for number, run in enumerate(devices_of_runs):
    checkpoints = Checkpoints(Path(folder, str(number)))
    if len(run) == 2:  # Ctrl-C ends it on the first number of devices, and it goes on with the second
        end_after(2, lambda: train(run[0], checkpoints))
    result = train(run[-1], checkpoints)
    weights = np.concatenate([weight.ravel() for weight in result.model.get_weights()])
    results.append(result.history)
    np.save(Path(folder, f"{number}.npy"), weights)
Path(folder, "results.json").write_text(json.dumps(results))
"""


# Every kind trains on one and on two devices. Whether a training can go on with another number of devices does not
# depend on the kind, so two kinds suffice.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "runs"),
    [
        ("convnet", ["1", "2", "12", "21"]),
        ("residual", ["1", "2"]),
        ("finetuned", ["1", "2", "12"]),
        ("muon", ["1", "2"]),
    ],
)
def test_two_devices_train_as_one_does(kind, runs, tmp_path):
    """A training that began on one device can also end on two, and the other way round."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), kind, *runs]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    one, *others = json.loads((tmp_path / "results.json").read_text())
    weights, *other_weights = (np.load(tmp_path / f"{number}.npy") for number in range(len(runs)))
    for other, others_weights in zip(others, other_weights, strict=True):
        for row, same in zip(other, one, strict=True):
            assert row["loss"] == pytest.approx(same["loss"], rel=1e-5)
            assert row["acc"] == pytest.approx(same["acc"], abs=1e-6)
            assert row["val_loss"] == pytest.approx(same["val_loss"], rel=1e-5)
        # This is the comparison of pytest.approx, which would take ten seconds for so many weights.
        assert (np.abs(others_weights - weights) <= np.maximum(1e-4 * np.abs(weights), 1e-5)).all()
