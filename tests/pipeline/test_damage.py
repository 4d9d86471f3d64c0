"""Bytes that are damaged at random are read or refused, and never do harm."""

import os
import resource
import time
from collections import Counter

import numpy as np
import pytest

from tests.conftest import Project, assert_one_line, kaggle_members, write_zip
from tests.pipeline.test_surroundings import STAGES, contents

pytestmark = pytest.mark.slow

FUZZED = int(
    os.environ.get("SMALLVISION_FUZZED", "8")
)  # damaged files of each kind; docs/reliability.md reports a run with more


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip, overwrite, cut, repeat or insert bytes of a file, up to four times."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start, length = int(rng.integers(len(data) + 1)), int(2 ** rng.integers(11))
        piece = data[start : start + length]
        match rng.integers(6):
            case 0:
                data[start : start + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in data[start : start + 1])
            case 1:
                data[start : start + length] = bytes(len(piece))
            case 2:
                data[start : start + length] = rng.bytes(len(piece))
            case 3:
                del data[start:]
            case 4:
                del data[start : start + length]
            case 5:
                data[start:start] = piece
    return bytes(data)


def damage_archive(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    write_zip(project.archive, members)
    project.archive.write_bytes(damage(project.archive.read_bytes(), rng))


def damage_pictures(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    write_zip(
        project.archive, {name: damage(data, rng) if rng.random() < 0.3 else data for name, data in members.items()}
    )


def damage_parameters(project: Project, members: dict[str, bytes], rng: np.random.Generator) -> None:
    path = project.folder / "params.yaml"
    project.write_params()
    path.write_bytes(damage(path.read_bytes(), rng))


@pytest.mark.parametrize(
    ("harm", "codes"),
    [(damage_archive, {0, 3, 5}), (damage_pictures, {0, 3}), (damage_parameters, {0, 2, 3})],
    ids=["archive", "pictures", "parameters"],
)
def test_any_damage_is_read_or_refused_and_the_old_result_stays(tmp_path, harm, codes):
    """The stage ends with one of our exit codes, one line, no traceback, in under 10 s and 1 GB."""
    project = Project(tmp_path)
    members = kaggle_members(12)
    write_zip(project.archive, members)
    assert project.split().returncode == 0
    results = contents(project.pictures)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))

    seen = Counter()
    for number in range(FUZZED):
        harm(project, members, np.random.default_rng(number))
        start = time.monotonic()
        result = project.run(*STAGES["split"], before=limit, OPENBLAS_NUM_THREADS="1")
        assert time.monotonic() - start < 10
        assert result.returncode in codes, (number, result.stderr)
        seen[result.returncode] += 1
        if result.returncode:
            assert_one_line(result, result.returncode)
            assert contents(project.pictures) == results, number
        else:
            assert result.stderr == ""
            results = contents(project.pictures)
    print(f"{harm.__name__}: exit codes {dict(seen)}")
