"""What the tests of downloads share."""

import numpy as np
import pytest

from smallvision.data.sources import url
from tests.conftest import kaggle_members, write_zip


@pytest.fixture(scope="session")
def zip_bytes(tmp_path_factory) -> bytes:
    """An archive of 500 kB, so that it comes in several pieces."""
    noise = np.random.default_rng(1).bytes(500_000)
    return write_zip(tmp_path_factory.mktemp("zip") / "a.zip", kaggle_members(4) | {"noise": noise}).read_bytes()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait less between two attempts."""
    monkeypatch.setattr(url, "BACK_OFF", 0.001)
