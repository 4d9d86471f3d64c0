"""Each transformation against an independent computation, and all of them seeded per picture."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from smallvision.core.params import Augment
from smallvision.training import augment
from smallvision.training.batches import training_batches
from tests.conftest import make_picture

SIZE = 48
PICTURES = np.stack([np.asarray(make_picture(seed, SIZE, SIZE)) for seed in range(12)])
FLOATS = (PICTURES / 255).astype(np.float32)
BOOK = Augment(rotation=40, shift=0.2, shear=0.2, zoom=0.2, flip=True)
EVERYTHING = Augment(
    rotation=30, shift=0.1, shear=0.1, zoom=0.1, flip=True, crop=0.5, fill="reflect", brightness=0.2, contrast=0.3,
    saturation=0.4, erase=0.5, mixup=0.4,
)  # fmt: skip


def draws(count=12, seed=1):
    return augment.draw_numbers(count, tf.constant([seed, 0], tf.int64))


def fixed(**values):
    """Return draws of 0.5, which change nothing, except where a value is given."""
    return {
        name: tf.constant([np.resize(values.get(name, 0.5), width)], tf.float32)
        for name, width in augment.WIDTHS.items()
    }


def exact_warp(picture, matrix, mode):
    """Compute the same map with SciPy, exactly, in double precision, one channel at a time."""
    middle = (SIZE - 1) / 2
    swap = [1, 0]  # SciPy's order is (row, column), ours is (x, y)
    linear = matrix[:, :2][np.ix_(swap, swap)]
    offset = matrix[:, 2][swap] * SIZE + middle - linear @ np.full(2, middle)
    channels = [
        scipy.ndimage.affine_transform(picture[..., c].astype(float), linear, offset, order=1, mode=mode)
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize(("fill", "mode"), [("nearest", "nearest"), ("reflect", "reflect")])
def test_the_books_transformations_are_exact_affine_warps(fill, mode):
    matrices = augment.affine_matrices(draws(), BOOK)
    warped = augment.warp(tf.constant(FLOATS), matrices, fill).numpy()
    for picture, matrix, ours in zip(FLOATS, matrices.numpy(), warped, strict=True):
        exact = exact_warp(picture, matrix.astype(float), mode)
        # At the seams of the blocky pictures float32 coordinates may fall on the other side.
        assert np.abs(ours - exact).mean() < 1e-4
        assert np.abs(picture - exact).mean() > 0.05


@pytest.mark.parametrize(
    ("options", "chosen", "expected"),
    [
        ({"flip": True}, {"flip": 0.2}, FLOATS[0][:, ::-1]),
        ({"flip": True}, {"flip": 0.7}, FLOATS[0]),
        ({"rotation": 90}, {"rotation": 1.0}, np.rot90(FLOATS[0])),
        ({"rotation": 180}, {"rotation": 0.0}, FLOATS[0][::-1, ::-1]),
        # The picture moves a quarter of its 48 pixels to the left, and its last column is repeated.
        ({"shift": 0.25}, {"shift": (1.0, 0.5)}, FLOATS[0][:, np.minimum(np.arange(SIZE) + 12, SIZE - 1)]),
        ({"shift": 0.25}, {"shift": (0.5, 0.0)}, FLOATS[0][np.maximum(np.arange(SIZE) - 12, 0)]),
    ],
)
def test_known_warps(options, chosen, expected):
    options = Augment(**options)
    warped = augment.warp(FLOATS[:1], augment.affine_matrices(fixed(**chosen), options), options.fill)[0]
    assert np.allclose(warped, expected, atol=1e-4)


def test_another_size_shows_the_same_part():
    """At half the side, each new pixel lies between four old ones and is their mean."""
    matrices = tf.eye(2, 3)[None]
    half = augment.warp(FLOATS[:1], matrices, "nearest", SIZE // 2).numpy()[0]
    # OpenCV rounds coordinates to 32nds of a pixel.
    assert np.allclose(half, FLOATS[0].reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean(axis=(1, 3)), atol=1e-4)
    options = Augment(rotation=40, crop=0.5, flip=True)
    matrices = augment.affine_matrices(draws(), options)
    as_large = augment.warp(FLOATS, matrices, "reflect").numpy()
    larger = augment.warp(FLOATS, matrices, "reflect", 3 * SIZE).numpy()
    assert larger.shape == (12, 3 * SIZE, 3 * SIZE, 3)
    assert np.abs(larger[:, 1::3, 1::3] - as_large).mean() < 1e-3  # every third pixel lies where one was


def test_zoom_and_shear_are_what_they_say():
    matrix = augment.affine_matrices(fixed(zoom=(1.0, 0.0), shear=1.0), Augment(zoom=0.2, shear=0.5)).numpy()[0]
    assert np.allclose(matrix, [[1.2, 0.5 * 0.8, 0], [0, 0.8, 0]])


def test_ranges_are_reached_and_kept():
    numbers = draws(4000)
    matrices = augment.affine_matrices(numbers, Augment(rotation=40)).numpy()
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -40 <= angles.min() < -39.5 < 39.5 < angles.max() <= 40
    shifts = augment.affine_matrices(numbers, Augment(shift=0.2)).numpy()[:, :, 2]
    assert -0.2 <= shifts.min() < -0.199 < 0.199 < shifts.max() <= 0.2
    assert 0.48 < (augment.affine_matrices(numbers, Augment(flip=True)).numpy()[:, 0, 0] < 0).mean() < 0.52


def test_a_crop_keeps_at_least_its_share_and_stays_inside():
    matrices = augment.affine_matrices(draws(2000), Augment(crop=0.4)).numpy()
    sides, centres = np.stack([matrices[:, 0, 0], matrices[:, 1, 1]], axis=1), matrices[:, :, 2]
    assert (np.abs(centres) + sides / 2 <= 0.5 + 1e-6).all()
    assert 0.38 < (sides[:, 0] * sides[:, 1]).min() < 0.45
    ratio = sides[:, 0] / sides[:, 1]
    assert 3 / 4 - 1e-5 <= ratio.min() < 0.8 < 1.25 < ratio.max() <= 4 / 3 + 1e-5


def recoloured(brightness=0.0, contrast=1.0, saturation=1.0):
    return augment.change_colours(FLOATS[0], np.array([brightness, contrast, saturation], np.float32))[np.newaxis]


def test_brightness():
    assert np.allclose(recoloured(brightness=0.1), FLOATS[:1] + 0.1, atol=1e-6)


def test_contrast_keeps_the_mean_and_scales_the_rest():
    changed = recoloured(contrast=0.5)
    assert np.allclose(changed.mean((1, 2)), FLOATS[:1].mean((1, 2)), atol=1e-5)
    assert np.allclose(changed.std((1, 2)), FLOATS[:1].std((1, 2)) / 2, atol=1e-5)


def test_saturation_zero_is_grey_and_one_is_unchanged():
    grey = recoloured(saturation=0.0)
    assert np.allclose(grey[..., 0], grey[..., 1])
    assert np.allclose(grey[..., 0], FLOATS[:1] @ np.array([0.299, 0.587, 0.114]), atol=1e-4)  # ITU-R BT.601
    assert np.allclose(recoloured(), FLOATS[:1], atol=1e-6)


def test_colours_change_one_after_the_other():
    brighter = FLOATS[:1] + 0.1
    mean = brighter.mean((1, 2), keepdims=True)
    flatter = mean + (brighter - mean) * 0.7
    grey = (flatter @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]
    assert np.allclose(recoloured(0.1, 0.7, 1.4), grey + (flatter - grey) * 1.4, atol=1e-5)


def test_erasing_replaces_one_square_by_the_mean_colour():
    erased = augment.erase(FLOATS[0], np.array([0.25, 0.5, 0.5], np.float32))
    changed = (erased != FLOATS[0]).any(axis=-1)
    assert changed[12:36, 0:24].all()
    assert not changed[:12].any()
    assert not changed[36:].any()
    assert not changed[:, 24:].any()
    assert np.allclose(erased[12:36, :24], FLOATS[0].mean((0, 1)), atol=1e-5)
    assert np.array_equal(augment.erase(FLOATS[1], np.array([0.25, 0.5, 0], np.float32)), FLOATS[1])


def test_half_of_the_pictures_are_erased_when_half_are_asked_for():
    numbers = draws(2000)
    white = np.ones((2000, 8, 8, 3), np.float32) * np.linspace(0, 1, 8, dtype=np.float32)[:, None, None]
    changed = (augment.augment(white, numbers, Augment(erase=0.5)).numpy() != white).any((1, 2, 3))
    assert 0.4 < changed.mean() < 0.55


def test_geometry_comes_first_then_colours_then_erasing():
    options, numbers = EVERYTHING.model_copy(update={"erase": 1}), draws()
    warped = augment.warp(FLOATS, augment.affine_matrices(numbers, options), options.fill).numpy()
    reach = np.array([options.brightness, options.contrast, options.saturation])
    by_picture = np.concatenate([numbers[name] for name in ("brightness", "contrast", "saturation")], axis=1)
    amounts = np.array([0, 1, 1]) + (2 * by_picture - 1) * reach
    erased = numbers["erase"].numpy()
    squares = np.concatenate([erased[:, 2:], 0.15 + 0.25 * erased[:, 1:2]], axis=1)
    expected = [
        augment.erase(augment.change_colours(picture, amount), square).clip(0, 1)
        for picture, amount, square in zip(warped, amounts, squares, strict=True)
    ]
    assert np.allclose(augment.augment(FLOATS, numbers, options), expected, atol=1e-5)


def test_mixing_is_a_weighted_mean_of_pictures_and_labels():
    labels = tf.constant([0.0, 1.0])
    pictures, mixed = augment.mix_with_neighbours(FLOATS[:2], labels, tf.constant([[0.25], [1.0]]))
    assert np.allclose(pictures[0], 0.25 * FLOATS[0] + 0.75 * FLOATS[1])
    assert np.array_equal(pictures[1], FLOATS[1])
    assert mixed.numpy().tolist() == [0.75, 1.0]


def test_shares_follow_the_beta_distribution():
    shares = augment.draw_shares(4000, tf.constant([1, 2], tf.int64), 0.4).numpy()[:, 0]
    assert abs(shares.mean() - 0.5) < 0.02
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.05)


def test_a_picture_and_its_label_are_mixed_with_the_one_before_in_the_batch():
    batches = training_batches(PICTURES, np.eye(12), 5, 1, Augment(mixup=0.4)).take(3)
    for pictures, shares in batches.as_numpy_iterator():
        assert np.allclose(np.tensordot(shares, FLOATS, 1), pictures, atol=1e-5)
        assert set((shares > 0).sum(axis=0)) == {0, 2}
        assert np.allclose(shares.sum(axis=1), 1)


def by_number(batch_size, options, epoch, seed=42):
    """What the pipeline makes of each picture in an epoch, by the picture's number."""
    labels = np.arange(len(PICTURES))
    steps = -(-len(PICTURES) // batch_size)
    batches = training_batches(PICTURES, labels, batch_size, seed, options, first_epoch=epoch).as_numpy_iterator()
    return {
        label: picture
        for pictures, labels in itertools.islice(batches, steps)
        for picture, label in zip(pictures, labels.round(4).tolist(), strict=True)
    }


# In a batch of another size, TensorFlow rounds the power that gives a crop's aspect differently.
@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        pytest.param(BOOK, 0, id="the book's", marks=pytest.mark.slow),
        pytest.param(EVERYTHING.model_copy(update={"mixup": 0}), 1e-5, id="everything"),
    ],
)
def test_a_picture_is_changed_the_same_whatever_the_batch_and_the_restart(options, tolerance):
    at_once = augment.augment(FLOATS, augment.draw_numbers(12, tf.constant([42, 3], tf.int64)), options).numpy()
    in_batches = by_number(5, options, epoch=3)
    assert sorted(in_batches) == list(range(12))
    assert all(np.allclose(at_once[int(n)], in_batches[n], rtol=0, atol=tolerance) for n in in_batches)


@pytest.mark.slow
def test_another_epoch_another_seed_and_another_picture_change_otherwise():
    first = by_number(12, BOOK, epoch=0)
    for other in (by_number(12, BOOK, epoch=1), by_number(12, BOOK, epoch=0, seed=43)):
        assert not any(np.array_equal(first[number], other[number]) for number in first)
    numbers = draws()
    assert len(np.unique(numbers["rotation"])) == 12


def test_turning_one_transformation_on_leaves_the_others_as_they_were():
    matrices = augment.affine_matrices(draws(), Augment(rotation=40))
    with_shift = augment.affine_matrices(draws(), Augment(rotation=40, shift=0.2))
    assert np.array_equal(matrices[:, :, :2], with_shift[:, :, :2])


def test_what_comes_out_is_in_range_and_off_means_unchanged():
    changed, numbers = augment.augment(FLOATS, draws(), EVERYTHING), tf.zeros(12)
    shares = augment.draw_shares(12, tf.constant([1, 2], tf.int64), EVERYTHING.mixup)
    everything = augment.mix_with_neighbours(changed, numbers, shares)[0].numpy()
    assert everything.min() >= 0
    assert everything.max() <= 1
    assert np.allclose(augment.augment(FLOATS, draws(), Augment()), FLOATS, atol=1e-6)
