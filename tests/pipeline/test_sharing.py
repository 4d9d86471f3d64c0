"""Two people share pictures, models and experiments: real DVC, a real S3 server on 127.0.0.1, a bare Git repository."""

import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

if TYPE_CHECKING:
    import s3fs

from tests.conftest import kaggle_members, write_zip
from tests.pipeline.repository import EVERYTHING, SMALL, Repository, make_repository

# pip puts SeaweedFS' program beside the Python that it belongs to.
WEED = shutil.which("weed", path=Path(sys.executable).parent)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (importlib.util.find_spec("dvc_s3") and WEED),
        reason="dvc-s3 or SeaweedFS is missing: `make setup-s3` installs them",
    ),
]

KEY = "smallvision-team"
SECRET, WRONG = secrets.token_hex(20), secrets.token_hex(20)  # random, so that this file does not hold them
BUCKET = "team"
MODEL = "data/models/model.keras"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [found.getsockname()[1] for found in sockets]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[str]:
    """Run SeaweedFS until the tests end. It lets in everybody who has KEY and SECRET."""
    folder = tmp_path_factory.mktemp("s3")
    parts = ("master", "volume", "filer", "s3")
    numbers = free_ports(2 * len(parts))
    ports = dict(zip([*parts, *(f"{part}.grpc" for part in parts)], numbers, strict=True))
    command = [
        *(str(WEED), "-logtostderr=true", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{part}.port={ports[part]}" for part in parts),
        *(f"-{part}.port.grpc={ports[f'{part}.grpc']}" for part in parts),
        "-master.telemetry=false",  # it would report to its makers
        *("-master.volumeSizeLimitMB=64", "-volume.max=64"),  # a bucket has seven volumes, of 30 GB each by default
        *(f"-filer.localSocket={folder / 'filer'}", f"-s3.localSocket={folder / 's3'}"),
    ]
    # It takes the identity of its administrator from the same variables as its clients.
    environment = os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{ports['s3']}"
    try:
        deadline = time.monotonic() + 60
        while not is_healthy(address):
            waiting = server.poll() is None and time.monotonic() < deadline
            assert waiting, (folder / "log").read_text()
            time.sleep(0.1)
        open_storage(address).mkdir(BUCKET)  # DVC makes no bucket
        yield address
    finally:
        server.kill()  # SIGTERM would take 25 s, and its data is no longer needed
        server.wait()
        for part in parts:
            Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.grpc']}.sock").unlink(missing_ok=True)  # noqa: S108 (its own choice)


def is_healthy(address: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"{address}/healthz", timeout=5).ok
    return False


def open_storage(endpoint: str) -> "s3fs.S3FileSystem":
    import s3fs

    return s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=endpoint, use_listings_cache=False)


def list_objects(endpoint: str) -> dict[str, tuple[int, str]]:
    """Return the names of the objects in the bucket, each with its size and ETag."""
    found = open_storage(endpoint).find(BUCKET, detail=True)
    return {name: (entry["size"], entry["ETag"]) for name, entry in found.items()}


class Member(Repository):
    """A person's clone. No command that a member runs may print a secret."""

    def __init__(self, folder: Path, secret: str | None = None) -> None:
        super().__init__(folder)
        # Use no AWS account of this machine, and do not look for one in the network.
        empty = folder.parent / "empty"
        empty.touch()
        self._environment = {
            **{name: value for name, value in self._environment.items() if not name.startswith("AWS_")},
            "AWS_CONFIG_FILE": str(empty),
            "AWS_SHARED_CREDENTIALS_FILE": str(empty),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if secret:
            self._environment |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret}

    def run(self, *command: str, check: bool = True) -> str:
        output = super().run(*command, check=check)
        assert SECRET not in output
        assert WRONG not in output
        return output

    def files(self) -> dict[str, bytes]:
        """Return all files of the clone except those that Git and DVC keep for their own use."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and not {".git", "tmp"} & set(path.relative_to(self.folder).parts)
        }


@pytest.fixture(scope="module")
def bare(endpoint, tmp_path_factory) -> Path:
    """The commit and the experiment `slower` that the first member has pushed; the pictures' archive is gone."""
    source = write_zip(tmp_path_factory.mktemp("source") / "pictures.zip", kaggle_members(8))
    folder = tmp_path_factory.mktemp("team")
    make_repository(folder / "first", source, **SMALL)
    first = Member(folder / "first", SECRET)
    assert first.reproduce() == EVERYTHING
    first.run("dvc", "remote", "add", "--default", "team", f"s3://{BUCKET}/smallvision")
    first.run("dvc", "remote", "modify", "team", "endpointurl", endpoint)
    first.commit()
    first.run("dvc", "push")
    first.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "bare.git"))
    first.run("git", "remote", "add", "origin", str(folder / "bare.git"))
    first.run("git", "push", "--quiet", "origin", "main")
    first.run("dvc", "exp", "run", "--name", "slower", "-S", "lr=1e-5")
    first.run("dvc", "exp", "push", "origin", "slower")
    source.unlink()
    return folder / "bare.git"


@pytest.fixture(scope="module")
def first(bare: Path) -> Member:
    return Member(bare.parent / "first", SECRET)


def clone(bare: Path, folder: Path, secret: str | None = None) -> Member:
    Repository(bare).clone(folder)
    return Member(folder, secret)


def test_a_fresh_clone_pulls_and_has_nothing_to_run(bare, first, tmp_path):
    second = clone(bare, tmp_path / "second", SECRET)
    assert not (second.folder / "data").exists()
    second.run("dvc", "pull")
    assert second.reproduce() == []
    assert second.run("git", "status", "--short") == ""
    committed = first.run("git", "show", "main:dvc.lock")
    assert (second.folder / "dvc.lock").read_text() == committed
    assert len(list(second.folder.glob("data/pictures/*/*/*.jpg"))) == 16
    assert (second.folder / MODEL).exists()


def test_an_experiment_comes_with_its_model(bare, first, tmp_path):
    second = clone(bare, tmp_path / "second", SECRET)
    second.run("dvc", "pull")
    before = (second.folder / MODEL).read_bytes()
    assert "slower" in second.run("dvc", "exp", "list", "origin")
    second.run("dvc", "exp", "pull", "origin", "slower")
    second.run("dvc", "exp", "apply", "slower")
    assert "lr: 1e-05" in (second.folder / "params.yaml").read_text()
    after = (second.folder / MODEL).read_bytes()
    assert after == (first.folder / MODEL).read_bytes() != before
    assert second.reproduce() == []
    picture = next(second.folder.glob("data/pictures/test/*/*.jpg"))
    assert picture.name in second.run("python", "-m", "smallvision", "predict", str(picture))


@pytest.mark.parametrize(
    ("secret", "reason"), [(WRONG, "Forbidden"), (None, "Unable to locate credentials")], ids=["wrong", "missing"]
)
def test_without_the_right_credentials_nothing_changes(bare, endpoint, tmp_path, secret, reason):
    stranger = clone(bare, tmp_path / "stranger", secret)
    stored, files = list_objects(endpoint), stranger.files()
    output = stranger.run("dvc", "pull", "--verbose", check=False)
    assert "ERROR: failed to pull" in output
    assert reason in output
    assert stranger.files() == files

    new = stranger.folder / "new.txt"
    new.write_text("a file that S3 does not have")
    stranger.run("dvc", "add", "--quiet", "new.txt")
    files = stranger.files()
    output = stranger.run("dvc", "push", "--verbose", "new.txt.dvc", check=False)
    assert re.search(f"ERROR: .*{reason}", output)
    assert stranger.files() == files
    assert stored == list_objects(endpoint) != {}


def test_credentials_in_the_local_configuration_stay_there(bare, tmp_path):
    second = clone(bare, tmp_path / "second")
    second.run("dvc", "remote", "modify", "--local", "team", "access_key_id", KEY)
    second.run("dvc", "remote", "modify", "--local", "team", "secret_access_key", SECRET)
    second.run("dvc", "pull", "--verbose")
    assert second.reproduce() == []
    assert second.run("git", "status", "--short") == ""
    assert find_secret(second.folder) == [".dvc/config.local"]


def test_the_secret_is_in_no_file_and_no_commit(bare, first):
    assert find_secret(first.folder) == find_secret(bare) == []
    for repository in (first, Repository(bare)):
        revisions = repository.run("git", "rev-list", "--all").split()
        assert len(revisions) >= 2  # experiments are commits too
        assert "endpointurl" in repository.run("git", "grep", "endpointurl", *revisions)
        assert repository.run("git", "grep", SECRET, *revisions, check=False) == ""


def find_secret(folder: Path) -> list[str]:
    """Return the names of all files that hold SECRET as plain text."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
