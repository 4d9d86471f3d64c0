"""Stage fetch takes every source, and names what a source does wrong."""

import json
import time

import pytest

from tests.conftest import Project, assert_one_line, jpeg, kaggle_members, write_zip
from tests.servers import Handler, answer_ranges, serve

CUT = 150_000  # the server closes the connection after so many bytes; whole pieces of them are kept


def leftovers(project: Project) -> list[str]:
    """The files where the archive belongs, without the lock."""
    return sorted(path.name for path in project.archive.parent.glob("*") if path.suffix != ".lock")


def test_a_local_zip_is_copied(project: Project):
    data = write_zip(project.folder / "pictures.zip", kaggle_members(2)).read_bytes()
    result = project.fetch()
    assert result.returncode == 0, result.stderr
    assert result.stdout == "fetch: pictures.zip: 4 pictures (4 jpg)\n"
    assert project.archive.read_bytes() == data
    assert leftovers(project) == ["archive.zip"]


def test_what_a_folder_holds_is_said(project: Project):
    folder = project.folder / "mine"
    for path in ("cat/0.jpg", "labels.csv", "cat/.DS_Store"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(jpeg(1))
    (folder / "cat/1.jpg").symlink_to("0.jpg")
    (folder / "cat/2.jpg").symlink_to("nowhere")
    project.write_params("mine")
    assert project.fetch().stdout.splitlines() == [
        "fetch: mine: 2 pictures (2 jpg), 1 other file (1 csv)",
        "fetch: left out: 1 hidden (cat/.DS_Store), 1 behind a dead link (cat/2.jpg)",
        "fetch: followed links to 1 file",
    ]


def test_an_archive_without_pictures_is_refused(project: Project):
    write_zip(project.folder / "pictures.zip", {"cat.zip": b"", "dog.zip": b"", ".DS_Store": b""})
    words = "expected pictures, found 2 files (2 zip) (left out: 1 hidden (.DS_Store)); check that it is what you meant"
    assert_one_line(project.fetch(), 3, f"fetch: pictures.zip: {words}")


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


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.zip", "x" * 300])
def test_what_is_no_path_is_a_wrong_parameter(project: Project, path):
    project.write_params(path)
    assert_one_line(project.fetch(), 2, "fetch: params.yaml: source: ")


def test_a_failed_fetch_keeps_the_old_archive(project: Project):
    write_zip(project.archive, kaggle_members(1))
    before = project.archive.read_bytes()
    (project.folder / "pictures.zip").write_bytes(
        write_zip(project.folder / "x.zip", kaggle_members(2)).read_bytes()[:-9]
    )
    assert_one_line(project.fetch(), 3, "fetch: pictures.zip is no complete zip archive", "get it again")
    assert project.archive.read_bytes() == before
    assert leftovers(project) == ["archive.zip"]


def test_a_nested_archive_is_verified_too(project: Project):
    inner = write_zip(project.folder / "train.zip", kaggle_members(2)).read_bytes()
    write_zip(project.folder / "pictures.zip", {"train.zip": inner[:-30]})
    assert_one_line(project.fetch(), 3, "fetch: pictures.zip/train.zip is no complete zip archive")


def test_a_url_is_downloaded_and_verified(project: Project, zip_bytes):
    with serve(lambda request: request.send(200, zip_bytes)) as server:
        project.write_params(server.address)
        result = project.fetch()
    assert (result.returncode, result.stderr) == (0, "")
    assert project.archive.read_bytes() == zip_bytes
    assert leftovers(project) == ["archive.zip"]


@pytest.mark.parametrize("address", ["http://host:99999/x", "HTTP://host:abc/x", "http://[::1/x"])
def test_what_is_no_address_is_a_wrong_parameter(project: Project, address):
    project.write_params(f"'{address}'")
    assert_one_line(project.fetch(), 2, "fetch: params.yaml: source: no valid address")


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


@pytest.mark.parametrize("change", ["none", "of the file", "of the address", "lost note", "all is here"])
def test_the_next_run_goes_on_where_a_download_was_given_up(project: Project, zip_bytes, change):
    """An earlier run was given up, and left a part of the file."""
    project.archive.parent.mkdir(parents=True)
    part, note = project.archive.with_name("download"), project.archive.with_name("download.json")
    with serve(lambda request: answer_ranges(request, zip_bytes)) as server:
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
            answer_ranges(request, zip_bytes)

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
    with serve(lambda request: answer_ranges(request, damaged if len(server.requests) == 1 else zip_bytes)) as server:
        project.write_params(server.address)
        assert_one_line(project.fetch(), 3, "pictures.zip is damaged at", "kept as data/raw/download.bad")
        assert leftovers(project) == ["download.bad"]
        assert project.fetch().returncode == 0
    assert project.archive.read_bytes() == zip_bytes


def test_a_password_is_not_sent_to_another_server(project: Project, zip_bytes):
    with (
        serve(lambda request: request.send(200, zip_bytes)) as other,
        serve(lambda request: request.send(302, Location=other.address)) as server,
    ):
        project.write_params(server.address.replace("http://", "http://me:secret@"))
        assert project.fetch().returncode == 0
    assert server.requests[0].headers["Authorization"]
    assert "Authorization" not in other.requests[0].headers
