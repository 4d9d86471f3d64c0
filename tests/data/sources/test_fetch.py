"""Stage fetch: every source, and what a source can do wrong."""

import json
import re
import threading
import time

import numpy as np
import pytest

from smallvision.core.errors import NetworkError, SurroundingsError
from smallvision.data.sources import url
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
            "'kagle' is no file or folder here, nor one of drawn, drawn3, kaggle, microsoft or an address; did you",
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


@pytest.mark.parametrize("whole", [True, False])
def test_the_length_need_not_be_known(tmp_path, zip_bytes, whole):
    """In chunks; a connection that breaks between two of them is noticed, and the file fetched again."""

    def answer(request: Handler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        middle = len(zip_bytes) // 2
        for chunk in (zip_bytes[:middle], zip_bytes[middle:], b""):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if not whole and len(server.requests) == 1:
                return

    with serve(answer) as server:
        url.download(server.address, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == zip_bytes
    assert len(server.requests) == (1 if whole else 2)


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


def ranged(request: Handler, content: bytes, *, tag: str = '"1"', cut: int | None = None) -> None:
    """Answer as a server does that knows ranges."""
    match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    start = int(match[1]) if match and request.headers.get("If-Range") == tag else 0
    if start >= len(content):
        request.send(416, Content_Range=f"bytes */{len(content)}")
    elif start:
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.send(206, content[start:], cut=cut, ETag=tag, Content_Range=told)
    else:
        request.send(200, content, cut=cut, ETag=tag)


@pytest.mark.parametrize("change", ["none", "of the file", "of the address", "lost note", "all is here"])
def test_the_next_run_goes_on_where_a_download_was_given_up(project: Project, zip_bytes, change):
    """The first run meets a server that closes every connection; what came before is kept."""
    project.archive.parent.mkdir(parents=True)
    part, note = project.archive.with_name("download"), project.archive.with_name("download.json")
    with serve(lambda request: ranged(request, zip_bytes)) as server:
        project.write_params(server.address)
        kept = len(zip_bytes) if change == "all is here" else CUT
        part.write_bytes(zip_bytes[:kept] if change != "of the file" else bytes(CUT))
        address = server.address if change != "of the address" else "http://127.0.0.1/other.zip"
        tag = '"0"' if change == "of the file" else '"1"'
        if change != "lost note":
            note.write_text(json.dumps({"address": address, "validator": tag}))
        result = project.fetch()
    assert (result.returncode, result.stderr) == (0, "")
    assert project.archive.read_bytes() == zip_bytes
    asked = [request.headers.get("Range") for request in server.requests]
    assert asked == {
        "none": [f"bytes={CUT}-"],
        "of the file": [f"bytes={CUT}-"],
        "all is here": [f"bytes={len(zip_bytes)}-", None],
    }.get(change, [None])
    assert leftovers(project) == ["archive.zip"]


@pytest.mark.slow
def test_a_killed_download_goes_on(project: Project, zip_bytes):
    part = project.archive.with_name("download")

    def answer(request: Handler) -> None:
        if len(server.requests) == 1:
            request.send(200, zip_bytes, cut=CUT, ETag='"1"')
            while not part.is_file() or not part.stat().st_size:
                time.sleep(0.001)
            process.kill()
            process.wait()
        else:
            ranged(request, zip_bytes)

    with serve(answer) as server:
        project.write_params(server.address)
        process = project.start("stages.fetch", "data/raw/archive.zip")
        process.communicate()
        assert process.returncode == -9
        assert project.fetch().returncode == 0
    assert server.requests[1].headers["Range"]
    assert project.archive.read_bytes() == zip_bytes
    assert leftovers(project) == ["archive.zip"]


def test_a_damaged_download_is_put_aside_and_fetched_anew(project: Project, zip_bytes):
    damaged = zip_bytes[:200] + bytes(50) + zip_bytes[250:]
    with serve(lambda request: ranged(request, damaged if len(server.requests) == 1 else zip_bytes)) as server:
        project.write_params(server.address)
        assert_one_line(project.fetch(), 3, "pictures.zip is damaged at", "kept as data/raw/download.bad")
        assert leftovers(project) == ["download.bad"]
        assert project.fetch().returncode == 0
    assert project.archive.read_bytes() == zip_bytes


def test_a_stalled_server_is_given_up(tmp_path, zip_bytes, monkeypatch):
    monkeypatch.setattr(url, "TIMEOUT", (1, 0.05))
    monkeypatch.setattr(url, "BACK_OFF", 0.001)
    done = threading.Event()

    def answer(request: Handler) -> None:
        request.send(200, zip_bytes, cut=CUT)
        done.wait(10)

    with serve(answer) as server:
        with pytest.raises(NetworkError, match="the server does not answer; try again later"):
            url.download(server.address, tmp_path / "a.zip")
        done.set()


def test_a_password_is_not_sent_to_another_server(project: Project, zip_bytes):
    with (
        serve(lambda request: request.send(200, zip_bytes)) as other,
        serve(lambda request: request.send(302, Location=other.address)) as server,
    ):
        project.write_params(server.address.replace("http://", "http://me:secret@"))
        assert project.fetch().returncode == 0
    assert server.requests[0].headers["Authorization"]
    assert "Authorization" not in other.requests[0].headers


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
