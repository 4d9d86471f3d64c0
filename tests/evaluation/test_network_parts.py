"""The features are the vector that the last layers decide by."""

import keras
import numpy as np
import pytest

from smallvision.core.params import Recipe
from smallvision.evaluation.network_parts import to_features
from smallvision.models.convnet import build_convnet
from smallvision.models.keras_file import average_over_mirror
from smallvision.training.transfer import freeze_and_pool, join
from tests.training.helpers import make_base


@pytest.mark.parametrize("mirror", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_features_are_what_the_last_layers_decide_by(mirror):
    pooled, head = freeze_and_pool(make_base(), Recipe(epochs=1, backbone="base", units=4), 3)
    on_base = join(pooled, head.build())
    scratch = build_convnet(46, 2)
    pictures = np.random.default_rng(1).random((2, 46, 46, 3), np.float32)
    for network, length in ((on_base, 8), (scratch, 512)):
        part = to_features(average_over_mirror(network) if mirror else network)
        assert part.output_shape == (None, length)
    wanted = keras.Model(pooled.input, pooled.output)(pictures)
    assert np.allclose(to_features(on_base)(pictures), wanted)
