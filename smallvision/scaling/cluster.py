"""Ray, on this machine or the cluster at RAY_ADDRESS."""

import os
import signal
import socket
from pathlib import Path

import ray

import smallvision
from smallvision.core.errors import NetworkError, ParameterError


def connect(cpus: int | None = None) -> dict[str, float]:
    """Start Ray on this machine, or join the cluster at RAY_ADDRESS.

    Args:
        cpus: cores that a task gets; None: all cores of a machine, or an equal share of them for each of its GPUs.

    Returns:
        What a task gets of a machine, in Ray's terms: `cpu` cores, and one `gpu` if there is any.

    Raises:
        NetworkError: there is no such cluster.
        ParameterError: no machine has so many cores.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage statistics to its makers
    address = os.environ.get("RAY_ADDRESS", "")
    code = Path(smallvision.__file__).parent.parent
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for many minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        on_sigterm = signal.getsignal(signal.SIGTERM)
        ray.init(
            address or "local", **{} if address else {"include_dashboard": False},
            logging_level="ERROR", log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": str(code)}},
        )  # fmt: skip
    except OSError:
        raise NetworkError(
            f"RAY_ADDRESS: no cluster answers at {address}; start one with `ray start --head`, or unset RAY_ADDRESS; "
            "RAY_AUTH_TOKEN_PATH names the file with its token"
        ) from None
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray has replaced our handler by its own
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [node["CPU"] for node in nodes if node.get("CPU")]
    gpus = max(node.get("GPU", 0) for node in nodes)
    if cpus and cpus > max(cores):
        raise ParameterError(f"--cpus {cpus}: no machine has more than {max(cores):g} cores")
    return {"cpu": cpus or max(1, min(cores) // max(gpus, 1))} | ({"gpu": 1} if gpus else {})
