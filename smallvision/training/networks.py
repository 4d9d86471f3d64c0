"""The networks that `network` in `params.yaml` names."""

from collections.abc import Callable

from keras import Model

from smallvision.models.convnet import baseline
from smallvision.models.residual import residual

# (image_size, class_count, dropout) -> network. A further one is a function in a file of its own, and a name in
# params.py.
NETWORKS: dict[str, Callable[..., Model]] = {"convnet": baseline, "residual": residual}
