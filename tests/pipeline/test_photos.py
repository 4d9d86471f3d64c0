"""On real photographs with real weights, where a developer has them."""

import json
import os

import pytest

from tests.conftest import PARAMS, Project

pytestmark = pytest.mark.slow


def given(variable: str) -> str:
    """Return the path in an environment variable as an absolute one."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set; see CONTRIBUTING.md")
    return os.path.abspath(path)  # noqa: PTH100 (a name, not a look at the disk)


def test_a_head_on_mobilenet_tells_cats_from_dogs(project: Project, tmp_path):
    """The limit is far below the 92% that docs/results.md reports for all pictures, and far above chance."""
    recipe = (
        f"baseline: {{{{epochs: 20, batch_size: 50, lr: 1.0e-3, image_size: 150, backbone: mobilenet_25, "
        f"weights: {given('SMALLVISION_WEIGHTS')}, dropout: 0.5}}}}"
    )
    text = PARAMS.replace("baseline: {{epochs: 1}}", recipe)
    text = text.replace("train: 4, validation: 2, test: 2", "train: 200, validation: 100, test: 200")
    project.write_params(given("SMALLVISION_PHOTOS"), text)
    for run in (project.fetch, project.split, project.train, project.evaluate):
        result = run()
        assert result.returncode == 0, result.stderr
    assert json.loads((project.folder / "test.json").read_text())["acc"] > 0.8
