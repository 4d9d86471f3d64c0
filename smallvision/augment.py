"""Random transformations of training pictures.

All randomness of an epoch is drawn at once, a row of numbers a picture, from (seed, epoch,
transformation). So a picture gets the same transformation whatever the batch size, the number of
threads or the epoch that training started again at, and another option changes nothing of the rest.

Pictures are float32 `(batch, size, size, 3)` in [0, 1] throughout.
"""

import math
from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf

from smallvision.params import Augment

Draws = Mapping[str, tf.Tensor]
ERASED = (0.15, 0.4)  # side of the erased square, of the picture's
BORDERS = {"nearest": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}
ASPECT = 4 / 3  # a crop's sides differ by up to this ratio, as in Szegedy et al. 2015, section 6
# Uniform numbers in [0, 1) per picture. The order is part of what a seed means: append only.
WIDTHS = {
    "rotation": 1,
    "shift": 2,
    "shear": 1,
    "zoom": 2,
    "flip": 1,
    "crop": 4,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "erase": 4,
}


def draw(count: int, seed: tf.Tensor) -> Draws:
    """Draw the random numbers of `count` pictures.

    Args:
        count: number of pictures.
        seed: int64 `(2,)`, run and epoch.

    Returns:
        Per transformation, float32 `(count, width)` in [0, 1).
    """
    return {
        name: tf.random.stateless_uniform((count, width), tf.random.experimental.stateless_fold_in(seed, index))
        for index, (name, width) in enumerate(WIDTHS.items())
    }


def augment(pictures: tf.Tensor, draws: Draws, options: Augment) -> tf.Tensor:
    """Apply every transformation that `options` turns on, geometry first."""
    pictures = warp(pictures, affine_matrices(draws, options), options.fill, options.size)
    if options.brightness:
        pictures = change_brightness(pictures, _spread(draws["brightness"], options.brightness))
    if options.contrast:
        pictures = change_contrast(pictures, 1 + _spread(draws["contrast"], options.contrast))
    if options.saturation:
        pictures = change_saturation(pictures, 1 + _spread(draws["saturation"], options.saturation))
    if options.erase:
        numbers = draws["erase"]
        side = tf.where(numbers[:, :1] < options.erase, ERASED[0] + numbers[:, 1:2] * (ERASED[1] - ERASED[0]), 0.0)
        pictures = erase(pictures, numbers[:, 2:], side)
    return tf.clip_by_value(pictures, 0.0, 1.0)


def augmented_views(
    pictures: np.ndarray, indices: np.ndarray, count: int, options: Augment, seed: int, epochs: int
) -> np.ndarray:
    """Return what the first epochs of a training make of some of its pictures, without mixup.

    Args:
        pictures: uint8 `(k, size, size, 3)`.
        indices: integer array `(k,)`, which of the training pictures they are.
        count: number of training pictures.
        options: of the augmentation.
        seed: of the run.
        epochs: number of epochs.

    Returns:
        float32 `(1 + epochs, k, side, side, 3)` in [0, 1], the side that of training; the first are as they are.
    """
    batch = tf.cast(pictures, tf.float32) / 255
    unchanged = tf.tile(tf.eye(2, 3)[None], (len(batch), 1, 1))
    views = [warp(batch, unchanged, options.fill, options.size)]
    for epoch in range(epochs):
        draws = draw(count, tf.constant([seed, epoch], tf.int64))
        views.append(augment(batch, {name: tf.gather(numbers, indices) for name, numbers in draws.items()}, options))
    return np.stack(views)


def affine_matrices(draws: Draws, options: Augment) -> tf.Tensor:
    """Return the affine map of each picture, from output to input coordinates.

    Coordinates are (x, y) in units of the side, origin at the centre. Applied from the right: flip,
    zoom, crop, shear, rotation, shift. As in Keras' ImageDataGenerator both sides are zoomed apart.

    Returns:
        float32 `(batch, 2, 3)`.
    """
    angle = _spread(draws["rotation"], options.rotation * math.pi / 180)
    shear = _spread(draws["shear"], options.shear)
    scale = 1 + _spread(draws["zoom"], options.zoom)
    centre = _spread(draws["shift"], options.shift)
    if options.crop:
        area, aspect, place = tf.split(draws["crop"], (1, 1, 2), axis=1)
        area = options.crop + (1 - options.crop) * area
        stretch = tf.pow(ASPECT, aspect - 0.5)
        window = tf.minimum(tf.sqrt(area) * tf.concat([stretch, 1 / stretch], axis=1), 1.0)
        scale *= window
        centre += (place - 0.5) * (1 - window)
    if options.flip:
        scale *= tf.concat([tf.where(draws["flip"] < 0.5, -1.0, 1.0), tf.ones_like(draws["flip"])], axis=1)
    cos, sin = tf.cos(angle), tf.sin(angle)
    columns = [
        cos * scale[:, :1],
        (cos * shear - sin) * scale[:, 1:],
        centre[:, :1],
        sin * scale[:, :1],
        (sin * shear + cos) * scale[:, 1:],
        centre[:, 1:],
    ]
    return tf.reshape(tf.concat(columns, axis=1), (-1, 2, 3))


def warp(pictures: tf.Tensor, matrices: tf.Tensor, fill: str, size: int | None = None) -> tf.Tensor:
    """Warp each picture by its affine map, bilinear.

    Args:
        pictures: the pictures.
        matrices: `(batch, 2, 3)`, as from `affine_matrices`.
        fill: what lies beyond the edge, `nearest` or `reflect`.
        size: side of the result, pixels, if it is to be another.
    """
    side, flags = pictures.shape[1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = size or side
    linear, offset = matrices[:, :, :2] * (side / size), matrices[:, :, 2] * side
    offset += (side - 1) / 2 - (size - 1) / 2 * tf.reduce_sum(linear, axis=2)
    maps = tf.concat([linear, offset[:, :, None]], axis=2)

    def warp_all(pictures: np.ndarray, maps: np.ndarray) -> np.ndarray:
        pairs = zip(pictures, maps, strict=True)
        return np.stack([cv2.warpAffine(p, m, (size, size), flags=flags, borderMode=BORDERS[fill]) for p, m in pairs])

    # TensorFlow's own ImageProjectiveTransformV3 gives the same and takes five times as long.
    warped = tf.numpy_function(warp_all, [pictures, maps], tf.float32)
    return tf.ensure_shape(warped, (pictures.shape[0], size, size, 3))


def change_brightness(pictures: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Add `amount` `(batch, 1)` to every pixel."""
    return pictures + amount[:, None, None]


def change_contrast(pictures: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Move every pixel away from the picture's mean colour by `factor` `(batch, 1)`."""
    mean = tf.reduce_mean(pictures, axis=(1, 2), keepdims=True)
    return mean + (pictures - mean) * factor[:, None, None]


def change_saturation(pictures: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Move every pixel away from its own grey by `factor` `(batch, 1)`; 0 is grey, 1 unchanged."""
    grey = tf.image.rgb_to_grayscale(pictures)
    return grey + (pictures - grey) * factor[:, None, None]


def erase(pictures: tf.Tensor, centre: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Put a square of the picture's mean colour over part of it.

    Args:
        pictures: the pictures.
        centre: `(batch, 2)`, (x, y) of the side in [0, 1].
        side: `(batch, 1)` of the side; 0 erases nothing.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
    """
    size = pictures.shape[1]
    position = (tf.range(size, dtype=tf.float32)[None] + 0.5) / size
    across = tf.abs(position - centre[:, :1]) < side / 2
    down = tf.abs(position - centre[:, 1:]) < side / 2
    inside = (down[:, :, None] & across[:, None, :])[..., None]
    return tf.where(inside, tf.reduce_mean(pictures, axis=(1, 2), keepdims=True), pictures)


def draw_shares(count: int, seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """Draw from Beta(alpha, alpha) the share that each picture keeps of itself, `(count, 1)`."""
    gammas = tf.random.stateless_gamma((count, 2), tf.random.experimental.stateless_fold_in(seed, len(WIDTHS)), alpha)
    return gammas[:, :1] / tf.reduce_sum(gammas, axis=1, keepdims=True)


def mix(
    first: tuple[tf.Tensor, tf.Tensor], second: tuple[tf.Tensor, tf.Tensor], share: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix two batches of pictures and labels, `share` `(batch, 1)` of the first.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    by_picture = share[:, None, None]
    by_label = tf.reshape(share, [-1] + [1] * (len(first[1].shape) - 1))
    return (
        by_picture * first[0] + (1 - by_picture) * second[0],
        by_label * first[1] + (1 - by_label) * second[1],
    )


def _spread(numbers: tf.Tensor, reach: float) -> tf.Tensor:
    """Turn uniform numbers in [0, 1) into uniform numbers in [-reach, reach)."""
    return (2 * numbers - 1) * reach
