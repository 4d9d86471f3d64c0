"""Several devices of one machine train as one does. Two logical CPUs stand for two GPUs, in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

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
from smallvision import devices
from smallvision.training.checkpoints import Checkpoints
from smallvision.training.fitting import fit
from smallvision.models.normalisation import FusedNormalisation
from smallvision.training.networks import NETWORKS
from smallvision.core.params import Augment
from smallvision.training.transfer import Head, Top, fit_on_base
from tests.test_checkpoints import end_after
from tests.test_fitting import bright_and_dark
from tests.test_transfer import make_base

if kind == "residual":
    # A rounding of float32 decides now and then which way a maximum or a ReLU goes, and from there trainings part.
    in_policy = keras.config.set_dtype_policy
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy = lambda name: in_policy("float64")
    FusedNormalisation.call = keras.layers.BatchNormalization.call  # TensorFlow's operation is of float32 only

DATA = bright_and_dark(26), bright_and_dark(12)  # the last batch has two pictures, one a device
OPTIONS = {"epochs": 3, "batch_size": 8, "lr": 1e-4, "seed": 7, "precision": "float32", "schedule": "cosine"}
AUGMENT = Augment(rotation=20, flip=True, mixup=0.2)
GROWING = AUGMENT.model_copy(update={"size": 62, "first_size": 46})

def train(count, checkpoints):
    with devices.all_of("CPU") if count == "2" else nullcontext() as scope:
        assert (scope is not None) == (count == "2")
        if kind == "finetuned":
            return fit_on_base(
                make_base(), Head("average", 4, 0), *DATA, 2, mirror=False, augment=AUGMENT,
                top=Top("two_conv", 1e-4, 3), checkpoints=checkpoints, **OPTIONS,
            )
        size, augment = (None, GROWING) if kind == "residual" else (46, AUGMENT)
        network, optimizer = ("convnet", "muon") if kind == "muon" else (kind, "rmsprop")
        return fit(
            partial(NETWORKS[network], size, 2), *DATA, augment=augment, optimizer=optimizer,
            checkpoints=checkpoints, **OPTIONS,
        )

results = []
for number, run in enumerate(devices_of_runs):
    checkpoints = Checkpoints(Path(folder, str(number)))
    if len(run) == 2:  # ended by Ctrl-C on the first, gone on with on the second
        end_after(2, lambda: train(run[0], checkpoints))
    result = train(run[-1], checkpoints)
    weights = np.concatenate([weight.ravel() for weight in result.model.get_weights()])
    results.append(result.history)
    np.save(Path(folder, f"{number}.npy"), weights)
Path(folder, "results.json").write_text(json.dumps(results))
"""


@pytest.mark.parametrize("kind", ["convnet", "residual", "finetuned", "muon"])
def test_two_devices_train_as_one_does(kind, tmp_path):
    """And what one has begun, two can end, and the other way round."""
    runs = ["1", "2", "12", "21"]
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
        # As pytest.approx, which takes ten seconds for so many.
        assert (np.abs(others_weights - weights) <= np.maximum(1e-4 * np.abs(weights), 1e-5)).all()
