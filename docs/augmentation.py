"""Draws `augmentation.png`: what the recipe `augmented` makes of a picture in each epoch.

Run from the project's root, `python -m docs.augmentation`.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

from smallvision import augment
from smallvision.params import read_params
from smallvision.sources.drawn import DRAWN, draw_picture

SIZE, GAP, EPOCHS = 150, 6, 6


def main() -> None:
    params = read_params()
    options = params.recipes["augmented"].augment
    pictures = [
        draw_picture(species, np.random.default_rng([params.seed, index])).resize((SIZE, SIZE))
        for species in DRAWN
        for index in range(2)
    ]
    batch = tf.cast(np.stack(pictures), tf.float32) / 255
    columns = [batch]
    for epoch in range(EPOCHS):
        draws = augment.draw(len(pictures), tf.constant([params.seed, epoch], tf.int64))
        columns.append(augment.augment(batch, draws, options))
    step = SIZE + GAP
    sheet = Image.new("RGB", (step * len(columns) + GAP, step * len(pictures) - GAP), "white")
    for across, column in enumerate(columns):
        for down, picture in enumerate(np.asarray(column)):
            place = across * step + (GAP if across else 0), down * step
            sheet.paste(Image.fromarray((picture * 255).round().astype(np.uint8)), place)
    sheet.quantize(128).save("docs/augmentation.png", optimize=True)


if __name__ == "__main__":
    main()
