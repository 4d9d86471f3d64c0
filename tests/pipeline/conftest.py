"""One small repository in which the pipeline has run, for all tests of a file."""

import pytest

from tests.conftest import kaggle_members, write_zip
from tests.pipeline.repository import EVERYTHING, SMALL, Repository, make_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """A small one, run once and committed."""
    source = write_zip(tmp_path_factory.mktemp("source") / "pictures.zip", kaggle_members(8))
    repository = make_repository(tmp_path_factory.mktemp("project") / "a clone", source, **SMALL)
    assert repository.reproduce() == EVERYTHING
    repository.commit()
    return repository


@pytest.fixture
def base(repository: Repository) -> Repository:
    """The repository as it was committed, pictures and model included."""
    repository.run("git", "checkout", "--quiet", "--", ".")
    repository.run("dvc", "checkout", "--quiet")
    return repository
