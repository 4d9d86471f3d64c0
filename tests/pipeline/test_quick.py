"""`make quick`, the first thing that a newcomer runs: a pretrained base on drawn pictures, without any download."""

import json
import re
import subprocess

import pytest

from tests.cluster import UNSHARE, networks_can_be_made
from tests.conftest import ROOT
from tests.pipeline.repository import EVERYTHING, make_repository

pytestmark = pytest.mark.slow
NO_NETWORK = UNSHARE if networks_can_be_made() else ()
FEWER = ["-S", "split.train=50", "-S", "split.validation=30", "-S", "split.test=50"]


def quick_commands() -> list[list[str]]:
    """Return the commands of `make quick` behind the set-up, as words."""
    lines = subprocess.run(
        ["make", "-n", "quick", "-o", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [line.split() for line in lines.splitlines() if re.match(r"smallvision |dvc exp run ", line)]


def test_it_says_how_long_it_takes_and_trains_without_a_network(tmp_path):
    (estimate, run) = quick_commands()
    repository = make_repository(tmp_path / "project", "drawn")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    said = repository.run(*NO_NETWORK, *estimate, **cache)
    assert re.search(r"^estimate: extracted on drawn: about .+ here if all of it runs \(draw and split ", said, re.M)
    output = repository.run(*NO_NETWORK, *run, *FEWER, **cache)
    assert re.findall(r"^Running stage '(\w+)':$", output, re.M) == EVERYTHING
    metrics = json.loads((repository.folder / "metrics/train.json").read_text())
    assert (metrics["backbone"], metrics["weights"]) == ("efficientnet_lite0", "cedb27358b32")
    assert metrics["runtime"].startswith("LiteRT ")
    # Chance is 50%, and the interval of 100 pictures 10 points wide to either side.
    assert json.loads((repository.folder / "metrics/test.json").read_text())["acc"] > 0.75
    answer = repository.run("smallvision", "predict", "data/pictures/test/cat/" + sorted(
        path.name for path in (repository.folder / "data/pictures/test/cat").iterdir()
    )[0])  # fmt: skip
    assert re.match(r"(cat|dog) +\d", answer)
