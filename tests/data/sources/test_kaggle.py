"""Source `kaggle`, against a real server that plays Kaggle's API.

Kaggle's client has one address for tests, port 7777 of this machine.
"""

import json
import sys

import pytest

from smallvision.data.sources.kaggle import _credentials
from tests.conftest import Project, assert_one_line, kaggle_members, write_zip
from tests.servers import Handler, serve

BY_HAND = "download train.zip yourself at https://www.kaggle.com/c/dogs-vs-cats/data and set `source` to the file"
TOKEN = "a-token-of-the-test"


def forget_client(monkeypatch) -> None:
    """Make the next import of kagglehub look at the environment again: HOME, and whether tqdm shows its bars."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("kagglehub", "tqdm"):
            monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def kaggle(project: Project, tmp_path, monkeypatch):
    """Play Kaggle with a list of bodies; the last is sent again and again."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "KAGGLE_API_TOKEN", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    # The source sets the last of these and TQDM_DISABLE itself; set here, they are taken back after the test.
    for name, value in (("HOME", tmp_path), ("KAGGLE_API_ENVIRONMENT", "TEST"), ("KAGGLEHUB_VERBOSITY", "warning")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    forget_client(monkeypatch)
    # To name itself, the client looks at every module for each frame of the stack, which takes long in a test.
    monkeypatch.setattr("kagglehub.clients.get_user_agent", lambda: "kagglehub")
    project.write_params("kaggle")
    bodies: list[bytes] = []

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
            body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
            request.send(200, body, Content_Type="application/zip", **play.headers)

    def play(*new_bodies: bytes, token: str | None = TOKEN, rules: bool = True):
        bodies[:] = new_bodies
        play.rules_accepted = rules
        if token:
            monkeypatch.setenv("KAGGLE_API_TOKEN", token)
        with serve(answer, port=7777):
            return play.fetch()

    play.headers = {}
    play.fetch = project.fetch
    return play


YESTERDAY = {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


@pytest.mark.parametrize("headers", [{}, YESTERDAY], ids=["no date", "dated"])
def test_the_labelled_pictures_arrive_every_time(kaggle, project: Project, tmp_path, headers):
    data = write_zip(tmp_path / "a.zip", kaggle_members(3)).read_bytes()
    kaggle.headers = headers
    for _ in range(3):
        result = kaggle(data)
        assert (result.returncode, result.stderr) == (0, "")
        assert project.archive.read_bytes() == data


@pytest.mark.slow
def test_the_stage_keeps_the_client_quiet(kaggle, project: Project, tmp_path, monkeypatch):
    data = write_zip(tmp_path / "a.zip", kaggle_members(3)).read_bytes()
    for name in ("KAGGLEHUB_VERBOSITY", "TQDM_DISABLE"):
        monkeypatch.delenv(name)
    kaggle.fetch = lambda: project.run("stages.fetch", "data/raw/archive.zip")
    result = kaggle(data)
    assert (result.returncode, result.stderr) == (0, "")
    assert project.archive.read_bytes() == data


def test_no_token(kaggle):
    assert_one_line(kaggle(b"", token=None), 4, "kaggle: no API token found; create one at", BY_HAND)


def test_a_refused_token(kaggle):
    result = kaggle(b"", token="old")
    assert_one_line(result, 4, "the token in KAGGLE_API_TOKEN was refused; renew it at", BY_HAND)


def test_rules_not_accepted(kaggle):
    result = kaggle(b"", rules=False)
    assert_one_line(
        result, 4, "rules are not accepted; accept them at https://www.kaggle.com/c/dogs-vs-cats/rules", BY_HAND
    )


def test_a_broken_credentials_file(kaggle, tmp_path):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle/kaggle.json").write_text("{")
    assert_one_line(kaggle(b"", token=None), 4, "kaggle: Invalid Kaggle credentials file", BY_HAND)


# Where kagglehub looks for a token, in its order.
PLACES = (
    "KAGGLE_API_TOKEN",
    "~/.kaggle/access_token",
    "~/.kaggle/access_token.txt",
    "KAGGLE_USERNAME and KAGGLE_KEY",
    "~/.kaggle/kaggle.json",
)


@pytest.mark.parametrize("place", PLACES)
def test_the_place_of_a_token_is_the_first_where_kagglehub_looks(kaggle, tmp_path, monkeypatch, place):
    """This place and all later ones hold credentials, each with its own name as the token or the user."""
    (tmp_path / ".kaggle").mkdir()
    for name in PLACES[PLACES.index(place) :]:
        if name == "KAGGLE_API_TOKEN":
            monkeypatch.setenv(name, name)
        elif name.startswith("KAGGLE_USERNAME"):
            monkeypatch.setenv("KAGGLE_USERNAME", name)
            monkeypatch.setenv("KAGGLE_KEY", "key")
        else:
            text = json.dumps({"username": name, "key": "key"}) if name.endswith("json") else name
            (tmp_path / name.removeprefix("~/")).write_text(text)
    from kagglehub.config import get_kaggle_credentials

    found = get_kaggle_credentials()
    assert place in (found.api_key, found.username)
    assert _credentials() == place


@pytest.mark.parametrize("harm", ["web page", "zeros", "flipped byte"])
def test_junk_in_kagglehubs_cache_is_fetched_once_more(kaggle, project: Project, tmp_path, harm):
    data = write_zip(tmp_path / "a.zip", kaggle_members(3)).read_bytes()
    flipped = bytearray(data)
    flipped[300] ^= 0xFF
    junk = {"web page": b"<html>maintenance</html>", "zeros": bytes(5000), "flipped byte": bytes(flipped)}[harm]
    kaggle.headers = YESTERDAY
    result = kaggle(junk, data)
    assert (result.returncode, result.stderr) == (0, "")
    assert project.archive.read_bytes() == data


def test_junk_twice_is_named_and_nothing_is_written(kaggle, project: Project):
    result = kaggle(bytes(5000))
    assert_one_line(result, 4, "kaggle: train.zip is no complete zip archive", "the second time", BY_HAND)
    assert not project.archive.exists()
