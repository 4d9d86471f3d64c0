"""What a network is computed on, and in which arithmetic. TensorFlow is imported inside the functions."""

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

from smallvision.core.errors import SurroundingsError
from smallvision.training.plan import Device, Plan, Precision

KINDS = {"cpu": "CPU", "gpu": "GPU"}  # TensorFlow's names for the devices of a plan that `settle` has returned
GPU_CAPABILITY = (8, 0)  # NVIDIA Ampere, the first generation with bfloat16


def settle(plan: Plan) -> Plan:
    """Return the plan with `auto` replaced by what suits this machine, and make TensorFlow use that device.

    Raises:
        SurroundingsError: the plan asks for a GPU, and there is none that TensorFlow can use.
    """
    device = choose_device(plan.device)  # This comes first, because the precision depends on the device.
    return replace(plan, device=device, precision=choose_precision(plan.precision))


def choose_device(device: Device) -> Literal["cpu", "gpu"]:
    """Make TensorFlow use a kind of device, and return that kind. Call this before anything is computed.

    Args:
        device: `auto` takes a GPU where there is one, `gpu` insists on it, `cpu` never takes it.

    Raises:
        SurroundingsError: `device` is `gpu`, and there is no GPU that TensorFlow can use.
    """
    import tensorflow as tf

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif tf.config.list_physical_devices("GPU"):
        return "gpu"
    elif device == "gpu":
        raise SurroundingsError(
            "params.yaml: device: TensorFlow finds no GPU here; check its driver and CUDA_VISIBLE_DEVICES, "
            "or set `device` to auto"
        )
    return "cpu"


def use_all_devices(device: Device) -> AbstractContextManager[object]:
    """Return the context in which a network is built and fitted, so that it trains on every device of a kind.

    Each batch is shared out among the devices, so the steps are the same as on one device, up to rounding. All devices
    belong to one machine, because Keras' `fit` does not work across machines (keras#20585).

    Args:
        device: `gpu` or `cpu`.
    """
    import tensorflow as tf

    devices = [found.name for found in tf.config.list_logical_devices(KINDS[device])]
    if len(devices) < 2:
        return nullcontext()
    # TensorFlow's default, collective operations, fails with batch normalisation over all devices (Keras 3.15, two
    # CPUs).
    strategy = tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())
    scope: AbstractContextManager[object] = strategy.scope()
    return scope


def choose_precision(precision: Precision) -> Literal["float32", "bfloat16"]:
    """Turn `auto` into `bfloat16` where the hardware computes faster in it, else into `float32`; keep the other two.

    A GPU is asked for its capability, a CPU for its flags (see `is_fast_in_bfloat16`).
    """
    if precision != "auto":
        return precision
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        fast = capability >= GPU_CAPABILITY
    else:
        fast = is_fast_in_bfloat16(Path("/proc/cpuinfo"))
    return "bfloat16" if fast else "float32"


def is_fast_in_bfloat16(cpuinfo: Path) -> bool:
    """Tell from Linux' description of the CPU whether bfloat16 is worth it there.

    A CPU with AMX is always faster in it. One with AVX512_BF16 is faster if it is made by AMD; on Intel without AMX
    matrix products ran at 0.6 of the float32 rate (docs/results.md). Other CPUs emulate bfloat16 and are up to
    hundreds of times slower. The flags decide and not a timing, because other processes disturb a timing, and the
    arithmetic, and with it the metrics, would change from run to run.

    Args:
        cpuinfo: the file `/proc/cpuinfo`; without it, as on macOS, the answer is no.
    """
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:  # this is not Linux
        return False
    match = re.search(r"^flags\s*:(.*)$", text, re.M)
    flags = set(match[1].split()) if match else set()
    return "amx_bf16" in flags or ("AuthenticAMD" in text and "avx512_bf16" in flags)
