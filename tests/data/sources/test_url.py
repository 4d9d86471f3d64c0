"""Downloads from servers that break, stall, are busy or send something else."""

import re
import threading

import pytest

from smallvision.core.errors import NetworkError, SurroundingsError
from smallvision.data.sources import url
from tests.servers import Handler, serve

CUT = 150_000  # the server closes the connection after so many bytes; whole pieces of them are kept


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
    """The body comes in chunks. If the connection breaks between two of them, the file is fetched again."""

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


def test_a_stalled_server_is_given_up(tmp_path, zip_bytes, monkeypatch):
    monkeypatch.setattr(url, "TIMEOUT", (1, 0.02))
    monkeypatch.setattr(url, "BACK_OFF", 0.001)
    done = threading.Event()

    def answer(request: Handler) -> None:
        request.send(200, zip_bytes, cut=CUT)
        done.wait(10)

    with serve(answer) as server:
        with pytest.raises(NetworkError, match="the server does not answer; try again later"):
            url.download(server.address, tmp_path / "a.zip")
        done.set()


def test_nobody_listens(tmp_path):
    with serve(lambda _: None) as server:
        pass
    with pytest.raises(NetworkError, match="no connection"):
        url.download(server.address, tmp_path / "a.zip")


def test_more_than_the_disk_holds_is_refused_first(tmp_path):
    with (
        serve(lambda request: request.send(200, b"PK", Content_Length=str(10**18))) as server,
        pytest.raises(SurroundingsError, match=r"1000000000000000000 bytes needed, \d+ free"),
    ):
        url.download(server.address, tmp_path / "a.zip")
