"""A real Ray cluster on this machine, for tests and benchmarks. Each of its nodes has one core."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ADDRESSES = ("127.0.0.2", "127.0.0.3")  # not 127.0.0.1, which Ray replaces by the machine's outer address
UNSHARE = ("unshare", "--map-root-user", "--net")


@dataclass
class Cluster:
    """Nodes in a network of their own, because Ray listens on every interface.

    Attributes:
        inside: the words before a command that run it in that network.
        nodes: the processes of the nodes.
        environment: the variables with which a command finds the cluster.
    """

    inside: list[str]
    nodes: list[subprocess.Popen[bytes]]
    environment: dict[str, str]


def networks_can_be_made() -> bool:
    """Say whether this user has the commands for a network of their own and may make one, as on most Linux systems."""
    up = [*UNSHARE, "ip", "link", "set", "lo", "up"]
    return (
        bool(shutil.which(UNSHARE[0]) and shutil.which("nsenter"))
        and not subprocess.run(up, capture_output=True, check=False).returncode
    )


@contextlib.contextmanager
def cluster(count: int = 2, *, pinned: bool = False) -> Iterator[Cluster]:
    """Run some nodes until the block ends. If they are `pinned`, each keeps to a core of its own."""
    shell = ("sh", "-c", "ip link set lo up && echo up && exec sleep 3600")
    network = subprocess.Popen([*UNSHARE, *shell], stdout=subprocess.PIPE, text=True)
    try:
        if network.stdout.readline() != "up\n":
            raise OSError("no network of one's own can be made here")
        inside = ["nsenter", f"--target={network.pid}", "--user", "--preserve-credentials", "--net"]
        head = f"{ADDRESSES[0]}:6379"
        access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        made = Cluster(inside, [], access | {"RAY_ADDRESS": head})
        with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder, contextlib.ExitStack() as nodes:
            for number in range(count):
                options = [f"--node-ip-address={ADDRESSES[number]}"]
                if number:
                    options.append(f"--address={head}")
                else:
                    options += ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={folder}"]
                pin = ["taskset", "--cpu-list", str(number)] if pinned else []
                made.nodes.append(nodes.enter_context(_node([*inside, *pin], options, access)))
                wait_for(lambda wanted=number + 1: _alive(made) == wanted, f"node {number + 1}")
            yield made
    finally:
        network.kill()
        network.communicate()


@contextlib.contextmanager
def _node(before: list[str], options: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node until the block ends."""
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    process = subprocess.Popen(
        [*before, *ray, *options], env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node and all its processes with SIGKILL."""
    if process.poll() is None:
        node = psutil.Process(process.pid)
        for each in [*node.children(recursive=True), node]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def _alive(made: Cluster) -> int:
    """Return how many nodes there are; 0 before the first one answers."""
    host, port = made.environment["RAY_ADDRESS"].split(":")
    count = (
        f"import ray, socket; socket.create_connection(({host!r}, {port})); ray.init(logging_level='ERROR'); "
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    result = subprocess.run(
        [*made.inside, sys.executable, "-c", count], env=os.environ | made.environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return int(result.stdout or 0)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until a condition holds, and fail if it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.1)
