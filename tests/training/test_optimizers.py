"""Muon on kernels, AdamW on the rest."""

import keras
import numpy as np
import pytest

from smallvision.training.optimizers import KernelMuon

RNG = np.random.default_rng(3)
HIDDEN, WIDE = (3, 3, 16, 6), (1, 1, 4, 5)  # as matrices 144 x 6 and 4 x 5, whose scales are 2.4 and 0.45
OTHERS = {"first layer": (3, 3, 3, 8), "depthwise": (3, 3, 8, 1), "dense": (7, 5), "bias": (8,)}


def step(optimizer, shape, gradients, start=None):
    """What the optimizer makes of a weight that has those gradients, one after another."""
    variable = keras.Variable(np.zeros(shape, np.float32) if start is None else start)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return variable.numpy()


def random(shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [HIDDEN, WIDE])
def test_a_kernel_moves_alike_in_all_directions_of_its_gradient(shape):
    gradient = random(shape)
    matrix = gradient.reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    expected = -1e-3 * 0.2 * np.sqrt(max(matrix.shape)) * left @ right
    moved = step(KernelMuon(1e-3, 0), shape, [gradient]).reshape(matrix.shape)
    assert np.linalg.norm(moved - expected) < 0.3 * np.linalg.norm(expected)  # the iteration ends near 1, not at it
    # AdamW's first step is 1e-3 for every weight; its later steps average a fifth of that (section 2.2), and Muon is
    # scaled to match.
    assert np.sqrt((moved**2).mean()) == pytest.approx(0.2e-3, rel=0.3)


def test_the_size_of_a_kernels_gradient_does_not_matter():
    gradient = random(HIDDEN)
    small, large = (step(KernelMuon(1e-3, 0), HIDDEN, [scale * gradient]) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-7)


def test_a_kernel_remembers_earlier_gradients():
    first, second = random(HIDDEN), random(HIDDEN)
    once = step(KernelMuon(1e-3, 0), HIDDEN, [first])
    both = step(KernelMuon(1e-3, 0), HIDDEN, [first, second]) - once
    alone = step(KernelMuon(1e-3, 0), HIDDEN, [second])
    assert (both * once).sum() > 0.2 * (once**2).sum() > abs((alone * once).sum())


@pytest.mark.parametrize("shape", OTHERS.values(), ids=OTHERS)
def test_the_other_weights_are_adamws(shape):
    start, gradients = random(shape), [random(shape) for _ in range(3)]
    ours, adamw = (
        step(optimizer, shape, gradients, start)
        for optimizer in (KernelMuon(1e-2, 0.1), keras.optimizers.AdamW(1e-2, weight_decay=0.1))
    )
    np.testing.assert_allclose(ours, adamw, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [HIDDEN, OTHERS["dense"]])
def test_kernels_and_the_rest_decay_alike(shape):
    start = random(shape)
    decayed = step(KernelMuon(1e-2, 0.5), shape, [np.zeros(shape, np.float32)], start)
    np.testing.assert_allclose(decayed, start * (1 - 1e-2 * 0.5), rtol=1e-5)
