"""Random transformations of training pictures.

All randomness of an epoch is drawn at once from (seed, epoch, transformation), one row of numbers for each picture.
So a picture gets the same transformation whatever the batch size, the number of threads or the epoch at which training
started again, and turning one option on or off does not change what the others do.

Batches of pictures are float32 `(batch, side, side, 3)` in [0, 1], a picture is `(side, side, 3)`.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf

from smallvision.core.params import Augment

Draws = Mapping[str, tf.Tensor]
# A function from a picture and its row of numbers to the changed picture, and the rows of all pictures of a batch.
Change = tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], tf.Tensor]
ERASED = (0.15, 0.4)  # least and greatest side of the erased square, as shares of the picture's side
BORDERS = {"nearest": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}
GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look, ITU-R BT.601
STEP = 16  # pixels by which growing pictures grow at a time
ASPECT = 4 / 3  # a crop's sides differ by up to this ratio, as in Szegedy et al. 2015, section 6
# How many uniform numbers in [0, 1) each picture gets for each transformation. The seed of a transformation depends on
# its place here, so only append.
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


def draw_numbers(count: int, seed: tf.Tensor) -> Draws:
    """Draw the random numbers of `count` pictures.

    Args:
        count: number of pictures.
        seed: int64 `(2,)`, run and epoch.

    Returns:
        For each transformation, float32 `(count, width)` in [0, 1).
    """
    return {
        name: tf.random.stateless_uniform((count, width), tf.random.experimental.stateless_fold_in(seed, index))
        for index, (name, width) in enumerate(WIDTHS.items())
    }


def augment(pictures: tf.Tensor, draws: Draws, options: Augment, side: int | tf.Tensor | None = None) -> tf.Tensor:
    """Apply every transformation that `options` turns on, geometry first.

    Args:
        pictures: the pictures.
        draws: their random numbers, as `draw_numbers` returns them.
        options: how far each transformation may go.
        side: side of the changed pictures, pixels; None takes `options.size`, or else keeps the side.
    """
    if side is None:
        side = options.size or pictures.shape[1]
    changes = [_warping(pictures.shape[1], affine_matrices(draws, options), options.fill, side)]
    if options.brightness or options.contrast or options.saturation:
        amounts = [_spread(draws[name], getattr(options, name)) for name in ("brightness", "contrast", "saturation")]
        changes.append((change_colours, tf.concat([amounts[0], 1 + amounts[1], 1 + amounts[2]], axis=1)))
    if options.erase:
        numbers = draws["erase"]
        share = tf.where(numbers[:, :1] < options.erase, ERASED[0] + numbers[:, 1:2] * (ERASED[1] - ERASED[0]), 0.0)
        changes.append((erase, tf.concat([numbers[:, 2:], share], axis=1)))
    return _apply(pictures, changes, side)


def side_in(epoch: tf.Tensor, epochs: int, first: int, last: int) -> tf.Tensor:
    """Return the side of the pictures in an epoch, int32, if it grows in equal steps of `STEP` pixels.

    Args:
        epoch: int64, from 0.
        epochs: epochs of the training. The last epoch has the last side, however few epochs there are.
        first: side in the first epochs, pixels.
        last: side in the last epochs, pixels.

    Source: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, section 4, without the
    growing augmentation.
    """
    sides = [*range(first, last, STEP), last]
    return tf.gather(sides, tf.minimum(((epoch + 1) * len(sides) - 1) // epochs, len(sides) - 1))


def affine_matrices(draws: Draws, options: Augment) -> tf.Tensor:
    """Return the affine map of each picture, from output to input coordinates.

    Coordinates are (x, y) in units of the side, with the origin at the centre. The map is the product of shift,
    rotation, shear, crop, zoom and flip, so the flip is applied first. Width and height are zoomed independently, as in
    Keras' ImageDataGenerator.

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


def warp(pictures: tf.Tensor, matrices: tf.Tensor, fill: str, side: int | tf.Tensor | None = None) -> tf.Tensor:
    """Warp each picture by its affine map, with bilinear interpolation.

    Args:
        pictures: the pictures.
        matrices: float32 `(batch, 2, 3)`, as `affine_matrices` returns them.
        fill: what lies beyond the edge, `nearest` or `reflect`.
        side: side of the result, pixels; None keeps the side.
    """
    before = pictures.shape[1]
    side = before if side is None else side
    return _apply(pictures, [_warping(before, matrices, fill, side)], side)


def _warping(before: int, matrices: tf.Tensor, fill: str, side: int | tf.Tensor) -> Change:
    """Return the change that `warp` makes to pictures whose side is `before`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    after = tf.cast(side, tf.float32)
    linear, offset = matrices[:, :, :2] * (before / after), matrices[:, :, 2] * before
    offset += (before - 1) / 2 - (after - 1) / 2 * tf.reduce_sum(linear, axis=2)
    maps = tf.reshape(tf.concat([linear, offset[:, :, None]], axis=2), (-1, 6))

    def warp_one(picture: np.ndarray, row: np.ndarray) -> np.ndarray:
        size = (int(row[6]), int(row[6]))
        # TensorFlow's own ImageProjectiveTransformV3 gives the same and takes five times as long.
        return cv2.warpAffine(picture, row[:6].reshape(2, 3), size, flags=flags, borderMode=BORDERS[fill])

    return warp_one, tf.concat([maps, tf.fill((tf.shape(maps)[0], 1), after)], axis=1)


def change_colours(picture: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Change brightness, then contrast, then saturation. Together they are one affine map of a picture's colours.

    Args:
        picture: the picture.
        amounts: `(3,)`: what is added to every pixel, the factor of the distance to the picture's mean colour, and the
            factor of the distance to the pixel's own grey (0 is grey, 1 unchanged).

    Returns:
        The changed picture, whose values may lie outside [0, 1].
    """
    brightness, contrast, saturation = amounts
    saturate = saturation * np.eye(3) + (1 - saturation) * np.array([GREY] * 3)
    mean = np.array(cv2.mean(picture)[:3])
    offset = saturate @ (mean + brightness - contrast * mean)
    return cv2.transform(picture, np.column_stack([contrast * saturate, offset]))


def erase(picture: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Put a square of the picture's mean colour over part of it.

    Args:
        picture: the picture.
        square: `(3,)`: x and y of the centre in [0, 1], and the side as a share of the picture's; 0 erases nothing.

    Returns:
        The changed picture, or the given one if nothing is erased.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
    """
    if not square[2]:
        return picture
    position = (np.arange(len(picture), dtype=np.float32) + 0.5) / len(picture)
    across, down = np.abs(position - square[:2, np.newaxis]) < square[2] / 2
    changed = picture.copy()
    changed[np.ix_(down, across)] = cv2.mean(picture)[:3]
    return changed


def _apply(pictures: tf.Tensor, changes: Sequence[Change], side: int | tf.Tensor) -> tf.Tensor:
    """Make all changes of one picture, then of the next, so that a picture stays in the processor's cache meanwhile.

    The result is float32 `(batch, side, side, 3)`, clipped to [0, 1].
    """
    functions, tables = zip(*changes, strict=True)

    def change_all(before: np.ndarray, side: np.ndarray, *tables: np.ndarray) -> np.ndarray:
        after = np.empty((len(before), side, side, 3), np.float32)
        for result, picture, *rows in zip(after, before, *tables, strict=True):
            for function, row in zip(functions, rows, strict=True):
                picture = function(picture, row)
            np.clip(picture, 0, 1, out=result)
        return after

    changed = tf.numpy_function(change_all, [pictures, side, *tables], tf.float32)
    static = tf.get_static_value(side)
    return tf.ensure_shape(changed, (pictures.shape[0], static, static, 3))


def draw_shares(count: int, seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """Draw the share that each picture keeps of itself from Beta(alpha, alpha): float32 `(count, 1)` in [0, 1]."""
    gammas = tf.random.stateless_gamma((count, 2), tf.random.experimental.stateless_fold_in(seed, len(WIDTHS)), alpha)
    return gammas[:, :1] / tf.reduce_sum(gammas, axis=1, keepdims=True)


def mix_with_neighbours(pictures: tf.Tensor, labels: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each picture, and its label, with the one before it in the batch.

    Args:
        pictures: the pictures.
        labels: float32 `(batch, ...)`.
        share: float32 `(batch, 1)` in [0, 1], what each picture keeps of itself.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    by_picture = share[:, None, None]
    by_label = tf.reshape(share, [-1] + [1] * (len(labels.shape) - 1))
    return (
        by_picture * pictures + (1 - by_picture) * tf.roll(pictures, 1, axis=0),
        by_label * labels + (1 - by_label) * tf.roll(labels, 1, axis=0),
    )


def _spread(numbers: tf.Tensor, reach: float) -> tf.Tensor:
    """Turn uniform numbers in [0, 1) into uniform numbers in [-reach, reach)."""
    return (2 * numbers - 1) * reach
