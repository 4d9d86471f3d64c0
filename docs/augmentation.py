"""Draw `augmentation.png`: what the first epochs of the recipe `augmented` make of drawn pictures.

Run it from the project's root with `python -m docs.augmentation`. The train stage draws the same sheet of its own
pictures.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from smallvision.core.params_file import read_params
from smallvision.data.sources.drawn import DRAWN, draw_picture
from smallvision.training.preview import augmented_views, draw_views

SIZE, EPOCHS = 150, 6
TARGET = Path("docs/augmentation.png")


def main() -> None:
    params = read_params()
    recipe = params.recipes["augmented"]
    captions = [f"{species}.{number}" for species in DRAWN for number in range(2)]
    pictures = np.stack(
        [
            draw_picture(species, np.random.default_rng([params.seed, number])).resize((SIZE, SIZE))
            for species in DRAWN
            for number in range(2)
        ]
    )
    views = augmented_views(pictures, np.arange(4), 4, recipe.augment, params.seed, EPOCHS)
    draw_views(TARGET, views, captions)
    Image.open(TARGET).convert("RGB").quantize(128).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
