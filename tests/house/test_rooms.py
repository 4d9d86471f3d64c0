"""The rooms that must start quickly load nothing heavy. Who may import whom is checked by `lint-imports`."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Commands import these when they start, also for `--help`; reading an archive or a picture needs no TensorFlow.
LIGHT = ("smallvision.core", "smallvision.data.sources", "smallvision.data.layouts", "smallvision.data.splitting",
         "smallvision.serving", "smallvision.training.plan", "smallvision.training.run", "smallvision.models.inference",
         "smallvision.models.litert", "smallvision.evaluation.evaluate", "smallvision.evaluation.scores",
         "smallvision.evaluation.curves", "smallvision.evaluation.intervals", "smallvision.commands")  # fmt: skip
SCRIPT = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        importlib.import_module(found.name)
    heavy = ("tensorflow", "keras", "ray", "sklearn", "matplotlib", "scipy.stats")
    loaded = [each for each in heavy if each in sys.modules]
    assert not loaded, f"{name} loads {loaded}"
print("light")
"""


def test_light_rooms_load_nothing_heavy():
    command = [sys.executable, "-c", SCRIPT, *LIGHT]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "light\n", result.stderr


@pytest.mark.slow
def test_a_heavy_module_is_found_out():
    command = [sys.executable, "-c", SCRIPT, "smallvision.models.residual"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "smallvision.models.residual loads ['tensorflow', 'keras'" in result.stderr
