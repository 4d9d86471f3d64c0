"""Source `kaggle`, against a real server that plays Kaggle's API.

Kaggle's client has one address for tests, port 7777 of this machine.
"""

import json

import pytest

from tests.conftest import Project, assert_one_line, kaggle_members, write_zip
from tests.servers import Handler, serve

BY_HAND = "download train.zip yourself at https://www.kaggle.com/c/dogs-vs-cats/data and set `source` to the file"
TOKEN = "a-token-of-the-test"


@pytest.fixture
def kaggle(project: Project, tmp_path, monkeypatch):
    """Play Kaggle with a list of bodies; the last is sent again and again."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "KAGGLE_API_TOKEN", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    project.write_params("kaggle")
    bodies: list[bytes] = []
    rules_accepted = True

    def answer(request: Handler) -> None:
        path = request.path.split("?")[0]
        if path.endswith("DownloadDataFile"):
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                request.send(401, json.dumps({"code": 401, "message": "no"}).encode(), Content_Type="application/json")
            elif not play.rules_accepted:
                request.send(403, json.dumps({"code": 403, "message": "no"}).encode(), Content_Type="application/json")
            else:
                request.send(302, Location="http://localhost:7777/storage/train.zip", Content_Length="0")
        else:
            request.send(200, bodies.pop(0) if len(bodies) > 1 else bodies[0], Content_Type="application/zip")

    def play(*new_bodies: bytes, token: str | None = TOKEN, rules: bool = True):
        bodies[:] = new_bodies
        play.rules_accepted = rules
        environment = {"KAGGLE_API_TOKEN": token} if token else {}
        with serve(answer, port=7777) as server:
            play.server = server
            return project.fetch(HOME=str(tmp_path), KAGGLE_API_ENVIRONMENT="TEST", **environment)

    play.rules_accepted = rules_accepted
    return play


def test_the_labelled_pictures_arrive_and_are_kept_for_the_next_time(kaggle, project: Project, tmp_path):
    data = write_zip(tmp_path / "a.zip", kaggle_members(3)).read_bytes()
    result = kaggle(data)
    assert result.returncode == 0, result.stderr
    assert project.archive.read_bytes() == data
    asked = [request.path for request in kaggle.server.requests]
    assert asked[0].endswith("DownloadDataFile")


def test_no_token(kaggle):
    assert_one_line(kaggle(b"", token=None), 4, "kaggle: no API token found; create one at", BY_HAND)


def test_a_refused_token(kaggle):
    result = kaggle(b"", token="old")
    lines = [line for line in result.stderr.splitlines() if line.startswith("fetch: ")]
    assert result.returncode == 4
    assert len(lines) == 1
    assert "the token in KAGGLE_API_TOKEN was refused; renew it at" in lines[0]
    assert BY_HAND in lines[0]


def test_rules_not_accepted(kaggle):
    result = kaggle(b"", rules=False)
    assert_one_line(
        result, 4, "rules are not accepted; accept them at https://www.kaggle.com/c/dogs-vs-cats/rules", BY_HAND
    )


def test_a_broken_credentials_file(kaggle, tmp_path):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle/kaggle.json").write_text("{")
    assert_one_line(kaggle(b"", token=None), 4, "kaggle: Invalid Kaggle credentials file", BY_HAND)


@pytest.mark.parametrize("junk", [b"<html>maintenance</html>", bytes(5000)])
def test_junk_in_kagglehubs_cache_is_fetched_once_more(kaggle, project: Project, tmp_path, junk):
    data = write_zip(tmp_path / "a.zip", kaggle_members(3)).read_bytes()
    result = kaggle(junk, data)
    assert result.returncode == 0, result.stderr
    assert project.archive.read_bytes() == data


def test_junk_twice_is_named_and_nothing_is_written(kaggle, project: Project):
    result = kaggle(bytes(5000))
    assert result.returncode == 4
    assert "received something else twice" in result.stderr.splitlines()[-1]
    assert not project.archive.exists()
