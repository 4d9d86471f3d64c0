"""Which arithmetic this machine is fast in."""

import time

SIDE = 768  # of the matrices multiplied; large enough that arithmetic, not overhead, is timed
REPEATS = 8
WORTH_IT = 1.2  # bfloat16 must be clearly faster, so that noise does not decide
GPU_CAPABILITY = (8, 0)  # NVIDIA Ampere, the first with bfloat16


def choose(precision: str) -> str:
    """Turn `auto` into `bfloat16` where the hardware computes faster in it; keep the rest.

    CPU flags do not tell: with AVX512_BF16, bfloat16 is 1.7 times faster on one processor and 1.3
    times slower on another, and hundreds of times slower where it is emulated. So a CPU is timed
    (a quarter of a second); a GPU is asked for its capability.

    Returns:
        `float32` or `bfloat16`.
    """
    if precision != "auto":
        return precision
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "bfloat16" if capability >= GPU_CAPABILITY else "float32"
    operands = {dtype: tf.cast(tf.fill((SIDE, SIDE), 0.5), dtype) for dtype in (tf.float32, tf.bfloat16)}
    fastest = dict.fromkeys(operands, float("inf"))
    for _ in range(REPEATS):  # interleaved, and the fastest of each, since other processes come and go
        for dtype, operand in operands.items():
            start = time.perf_counter()
            tf.linalg.matmul(operand, operand).numpy()
            fastest[dtype] = min(fastest[dtype], time.perf_counter() - start)
    return "bfloat16" if fastest[tf.float32] > WORTH_IT * fastest[tf.bfloat16] else "float32"
