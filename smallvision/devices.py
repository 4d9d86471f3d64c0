"""Which device TensorFlow computes on."""

from smallvision.errors import SurroundingsError


def choose(device: str) -> str:
    """Make TensorFlow use a device; call it before anything is computed.

    Args:
        device: `auto` takes a GPU where there is one, `gpu` insists on it, `cpu` leaves it alone.

    Returns:
        `GPU` or `CPU`.

    Raises:
        SurroundingsError: there is no GPU that TensorFlow can use.
    """
    import tensorflow as tf

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif tf.config.list_physical_devices("GPU"):
        return "GPU"
    elif device == "gpu":
        raise SurroundingsError(
            "params.yaml: device: TensorFlow finds no GPU here; check its driver and CUDA_VISIBLE_DEVICES, "
            "or set `device` to auto"
        )
    return "CPU"
