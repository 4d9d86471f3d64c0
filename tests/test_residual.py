"""The residual network is what its docstring says."""

import numpy as np
import pytest

from smallvision.fitting import fit
from smallvision.residual import residual
from tests.test_fitting import OPTIONS, TRAIN, VALIDATION


def test_sizes_halve_and_widths_double():
    network = residual(128, 2)
    assert network.count_params() == 1_210_849
    shapes = [layer.output.shape[1:] for layer in network.layers if type(layer).__name__ == "Add"]
    assert shapes == [(32, 32, 64), (16, 16, 128), (8, 8, 256)]
    assert network.output_shape == (None, 1)
    assert residual(46, 3, dropout=0.3).output_shape == (None, 3)


@pytest.mark.parametrize("side", [46, 47, 49, 150])
def test_both_ways_through_a_block_have_the_same_size_at_any_side(side):
    assert residual(side, 2)(np.zeros((1, side, side, 3), np.float32)).shape == (1, 1)


@pytest.mark.slow
def test_it_learns():
    result = fit(lambda: residual(46, 2, 0.1), TRAIN, VALIDATION, **OPTIONS | {"epochs": 6})
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.history[result.best_epoch - 1]["val_acc"] > 0.5
