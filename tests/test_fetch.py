"""Stage fetch: every source, and what a source can do wrong."""

import re

import numpy as np
import pytest

from smallvision.errors import NetworkError, SurroundingsError
from smallvision.sources import url
from tests.conftest import Project, assert_one_line, jpeg, kaggle_members, write_zip
from tests.servers import Handler, serve

NOISE = np.random.default_rng(1).bytes(500_000)
CUT = 150_000  # bytes, of which whole pieces are kept


@pytest.fixture(scope="module")
def zip_bytes(tmp_path_factory) -> bytes:
    return write_zip(tmp_path_factory.mktemp("zip") / "a.zip", kaggle_members(4) | {"noise": NOISE}).read_bytes()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(url, "BACK_OFF", 0.01)


def leftovers(project: Project) -> list[str]:
    """What lies where the archive belongs, but for the lock."""
    return sorted(path.name for path in project.archive.parent.glob("*") if path.suffix != ".lock")


def test_a_local_zip_is_copied(project: Project):
    data = write_zip(project.folder / "pictures.zip", kaggle_members(2)).read_bytes()
    result = project.fetch()
    assert result.returncode == 0, result.stderr
    assert project.archive.read_bytes() == data
    assert leftovers(project) == ["archive.zip"]


def test_a_folder_is_packed_the_same_each_time(project: Project):
    for label in ("hen", "owl"):
        folder = project.folder / "my pictures" / label
        folder.mkdir(parents=True)
        for n in (2, 10):
            (folder / f"{n}.jpg").write_bytes(jpeg(n))
        (folder / ".DS_Store").write_bytes(b"x")
    project.write_params("my pictures")
    assert project.fetch().returncode == 0
    first = project.archive.read_bytes()
    assert project.fetch().returncode == 0
    assert project.archive.read_bytes() == first
    assert b".DS_Store" not in first
    project.write_params(str(project.folder / "my pictures"))
    assert project.fetch().returncode == 0
    assert project.archive.read_bytes() == first


def test_an_empty_folder_is_named(project: Project):
    (project.folder / "empty").mkdir()
    project.write_params("empty")
    assert_one_line(project.fetch(), 3, "fetch: source: the folder empty holds no files")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "kagle",
            "'kagle' is no file or folder here, nor one of drawn, kaggle, microsoft or an address; did you mean",
        ),
        ("nowhere.zip", "params.yaml: source: 'nowhere.zip' is no file or folder here"),
    ],
)
def test_an_unknown_source_is_a_wrong_parameter(project: Project, source, words):
    project.write_params(source)
    assert_one_line(project.fetch(), 2, words)


def test_a_failed_fetch_keeps_the_old_archive(project: Project):
    write_zip(project.archive, kaggle_members(1))
    before = project.archive.read_bytes()
    (project.folder / "pictures.zip").write_bytes(
        write_zip(project.folder / "x.zip", kaggle_members(2)).read_bytes()[:-9]
    )
    assert_one_line(project.fetch(), 3, "fetch: pictures.zip is no complete zip archive", "get it again")
    assert project.archive.read_bytes() == before
    assert leftovers(project) == ["archive.zip"]


def test_a_url_is_downloaded_and_verified(project: Project, zip_bytes):
    with serve(lambda request: request.send(200, zip_bytes)) as server:
        project.write_params(server.address)
        result = project.fetch()
    assert (result.returncode, result.stderr) == (0, "")
    assert project.archive.read_bytes() == zip_bytes
    assert leftovers(project) == ["archive.zip"]


def test_a_broken_download_goes_on_where_it_stopped(tmp_path, zip_bytes):
    def answer(request: Handler) -> None:
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))) else 0
        rest = zip_bytes[start:]
        ranged = {"Content_Range": f"bytes {start}-{len(zip_bytes) - 1}/{len(zip_bytes)}"} if start else {}
        request.send(206 if start else 200, rest, cut=CUT, ETag='"1"', **ranged)

    with serve(answer) as server:
        url.download(server.address, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == zip_bytes
    assert [r.headers.get("If-Range") for r in server.requests[:2]] == [None, '"1"']
    kept = CUT - CUT % url.PIECE
    assert [r.headers["Range"] for r in server.requests[1:3]] == [f"bytes={kept}-", f"bytes={2 * kept}-"]


@pytest.mark.parametrize("mode", ["ignores the range", "other part", "changed"])
def test_parts_of_different_files_are_never_joined(tmp_path, zip_bytes, mode):
    other = zip_bytes[::-1]

    def answer(request: Handler) -> None:
        if len(server.requests) == 1:
            request.send(200, other if mode == "changed" else zip_bytes, cut=CUT, ETag='"1"')
        elif mode == "other part" and "Range" in request.headers:
            request.send(206, zip_bytes[10:], Content_Range=f"bytes 10-{len(zip_bytes) - 1}/{len(zip_bytes)}")
        else:
            request.send(200, zip_bytes, ETag='"2"')

    with serve(answer) as server:
        url.download(server.address, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == zip_bytes


@pytest.mark.parametrize("cut", [0, CUT], ids=["nothing", "starting over"])
def test_a_server_that_gets_no_further_is_given_up(tmp_path, zip_bytes, cut):
    with (
        serve(lambda request: request.send(200, zip_bytes, cut=cut)) as server,
        pytest.raises(NetworkError, match="the connection broke; try again later, or download the archive yourself"),
    ):
        url.download(server.address, tmp_path / "a.zip")
    assert len(server.requests) <= url.ATTEMPTS + 1


def test_a_busy_server_is_asked_again(tmp_path, zip_bytes):
    def answer(request: Handler) -> None:
        if len(server.requests) < 3:
            request.send((503, 429)[len(server.requests) - 1], Retry_After="0")
        else:
            request.send(200, zip_bytes)

    with serve(answer) as server:
        url.download(server.address, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == zip_bytes


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "answered 401 Unauthorized; it wants a login"), (404, "answered 404 Not Found; check the address")],
)
def test_a_refusal_is_named(project: Project, status, words):
    with serve(lambda request: request.send(status)) as server:
        project.write_params(server.address.replace("http://", "http://me:secret@") + "?token=secret")
        result = project.fetch()
    assert_one_line(result, 4, f"fetch: {server.address}: the server {words}", "set `source` to the file")
    assert "secret" not in result.stderr
    assert leftovers(project) == []


def test_a_web_page_is_no_archive(project: Project):
    with serve(lambda request: request.send(200, b"<html>", Content_Type="text/html")) as server:
        project.write_params(server.address)
        assert_one_line(project.fetch(), 4, "expected a zip archive, received a web page")


def test_nobody_listens(tmp_path):
    with serve(lambda _: None) as server:
        pass
    with pytest.raises(NetworkError, match="no connection"):
        url.download(server.address, tmp_path / "a.zip")


@pytest.mark.parametrize("address", ["http://host:99999/x", "HTTP://host:abc/x", "http://[::1/x"])
def test_what_is_no_address_is_a_wrong_parameter(project: Project, address):
    project.write_params(f"'{address}'")
    assert_one_line(project.fetch(), 2, "fetch: params.yaml: source: no valid address")


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.zip", "x" * 300])
def test_what_is_no_path_is_a_wrong_parameter(project: Project, path):
    project.write_params(path)
    assert_one_line(project.fetch(), 2, "fetch: params.yaml: source: ")


def test_a_nested_archive_is_verified_too(project: Project):
    inner = write_zip(project.folder / "train.zip", kaggle_members(2)).read_bytes()
    write_zip(project.folder / "pictures.zip", {"train.zip": inner[:-30]})
    assert_one_line(project.fetch(), 3, "fetch: pictures.zip/train.zip is no complete zip archive")


def test_more_than_the_disk_holds_is_refused_first(tmp_path):
    with (
        serve(lambda request: request.send(200, b"PK", Content_Length=str(10**18))) as server,
        pytest.raises(SurroundingsError, match=r"1000000000000000000 bytes needed, \d+ free"),
    ):
        url.download(server.address, tmp_path / "a.zip")
