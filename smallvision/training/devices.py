"""Which device TensorFlow computes on."""

from contextlib import AbstractContextManager, nullcontext

from smallvision.core.errors import SurroundingsError


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


def all_of(kind: str) -> AbstractContextManager[object]:
    """Return the context in which a network is to be built and fitted, to train on every device of a kind.

    Each batch is shared out, so the steps are those of one device, up to rounding. Several only on one machine:
    Keras' `fit` does not work across machines (keras#20585).

    Args:
        kind: `GPU` or `CPU`.
    """
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(devices) < 2:
        return nullcontext()
    # The default, collective operations, fails with batch normalisation over all devices (Keras 3.15, two CPUs).
    strategy = tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())
    scope: AbstractContextManager[object] = strategy.scope()
    return scope
