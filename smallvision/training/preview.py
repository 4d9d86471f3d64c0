"""What augmentation makes of a few training pictures, drawn before the training so that a wrong one is seen at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from smallvision.core.errors import shorten
from smallvision.core.params import Augment
from smallvision.data.pictures.loading import Pictures
from smallvision.data.pictures.manifest import Manifest
from smallvision.data.pictures.sheet import Sheet
from smallvision.training.augment import augment, draw_numbers, warp
from smallvision.training.plan import Plan

SHOWN, EPOCHS_SHOWN = 4, 6  # pictures and epochs on the sheet


def preview_augmentation(path: Path, plan: Plan, manifest: Manifest, pictures: Pictures, labels: np.ndarray) -> None:
    """Draw what the first epochs of a training will make of a few of its pictures.

    Args:
        path: the PNG file to write.
        plan: how to train.
        manifest: the manifest of the pictures; it names them.
        pictures: the training pictures.
        labels: their labels, integers `(n,)`.
    """
    classes = range(len(manifest.classes))
    chosen = np.concatenate([np.flatnonzero(labels == index)[:2] for index in classes])[:SHOWN]
    entries, shown = manifest.subset("train"), pictures[chosen]
    views = (
        augmented_views(shown, chosen, len(pictures), plan.augment, plan.seed, EPOCHS_SHOWN)
        if plan.augment
        else shown[np.newaxis] / np.float32(255)
    )
    draw_views(path, views, [shorten(entries[index].name, 20) for index in chosen])


def augmented_views(
    pictures: np.ndarray, indices: np.ndarray, count: int, options: Augment, seed: int, epochs: int
) -> np.ndarray:
    """Return what the first epochs of a training make of some of its pictures, without mixup, at their last size.

    Args:
        pictures: uint8 `(k, size, size, 3)`.
        indices: integer array `(k,)`, the place of each among the training pictures.
        count: number of training pictures.
        options: options of the augmentation.
        seed: seed of the training.
        epochs: how many epochs to show.

    Returns:
        float32 `(1 + epochs, k, side, side, 3)` in [0, 1]; the first row shows the pictures as they are.
    """
    batch = tf.cast(pictures, tf.float32) / 255
    unchanged = tf.tile(tf.eye(2, 3)[None], (len(batch), 1, 1))
    views = [warp(batch, unchanged, options.fill, options.size)]
    for epoch in range(epochs):
        draws = draw_numbers(count, tf.constant([seed, epoch], tf.int64))
        views.append(augment(batch, {name: tf.gather(numbers, indices) for name, numbers in draws.items()}, options))
    return np.stack(views)


def draw_views(path: Path, views: np.ndarray, captions: Sequence[str]) -> None:
    """Draw training pictures and, beside each, what the first epochs make of it.

    Args:
        path: the PNG file to write.
        views: float `(columns, n, size, size, 3)` in [0, 1]; the first column shows the pictures as they are.
        captions: one for each of the `n` pictures.
    """
    epochs = [f"epoch {epoch}" for epoch in range(1, len(views))]
    if epochs:
        heading = f"Training pictures, and what the first {len(epochs)} epochs make of them"
        rows = [[(caption, *epochs), row] for caption, row in zip(captions, views.swapaxes(0, 1), strict=True)]
    else:  # the pictures stand side by side, so that the heading has room
        heading = "Training pictures; the recipe changes nothing about them"
        rows = [[captions, views[0]]]
    cells = [cell for labels, row in rows for cell in zip(labels, row, strict=True)]
    sheet = Sheet(len(rows), len(cells) // len(rows), width=1.5, height=1.5, lines=1)
    sheet.begin(heading, len(rows))
    for place, (label, picture) in enumerate(cells):
        sheet.put(place, picture, label)
    sheet.save(path)
