"""Which arithmetic this machine is fast in."""

import re
from pathlib import Path

GPU_CAPABILITY = (8, 0)  # NVIDIA Ampere, the first with bfloat16


def choose(precision: str) -> str:
    """Turn `auto` into `bfloat16` where the hardware computes faster in it; keep the rest.

    A GPU is asked for its capability, a CPU for its flags (see `is_fast_in_bfloat16`).

    Returns:
        `float32` or `bfloat16`.
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

    AMX is always; AVX512_BF16 is on AMD, but not on Intel without AMX, where matrix products ran at
    0.6 of the float32 rate (docs/results.md). Elsewhere bfloat16 is emulated, up to hundreds of times
    slower. The flags, and not a timing, since a timing that other processes disturb would give
    another arithmetic, and so other metrics, from run to run.
    """
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:  # no Linux
        return False
    match = re.search(r"^flags\s*:(.*)$", text, re.M)
    flags = set(match[1].split()) if match else set()
    return "amx_bf16" in flags or ("AuthenticAMD" in text and "avx512_bf16" in flags)
