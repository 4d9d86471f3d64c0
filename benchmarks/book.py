"""The book's recipe to the letter: `python -m benchmarks.book PICTURES baseline|augmented EPOCHS`.

Prints the seconds of each epoch. Source: F. Chollet, *Deep Learning with Python*, 2017, listings 5.5 to 5.8 and 5.13
to 5.14. Keras 3 keeps the book's `ImageDataGenerator` as legacy.
"""

import sys
import time

import keras
from keras import layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator

AUGMENTATION = {
    "rotation_range": 40,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 0.2,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}


class _Stopwatch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        print(f"epoch {epoch + 1}  {time.monotonic() - self._start:.2f} s", flush=True)


def main(pictures: str, recipe: str, epochs: str) -> None:
    augmented = recipe == "augmented"
    convolutions: list[layers.Layer] = []
    for filters in (32, 64, 128, 128):
        convolutions += [layers.Conv2D(filters, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2))]
    model = keras.Sequential(
        [
            keras.Input((150, 150, 3)),
            *convolutions,
            layers.Flatten(),
            *([layers.Dropout(0.5)] if augmented else []),
            layers.Dense(512, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.RMSprop(1e-4), metrics=["acc"])
    size, batch_size = (150, 150), 32 if augmented else 20
    train = ImageDataGenerator(rescale=1 / 255, **(AUGMENTATION if augmented else {})).flow_from_directory(
        f"{pictures}/train", target_size=size, batch_size=batch_size, class_mode="binary"
    )
    validation = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        f"{pictures}/validation", target_size=size, batch_size=batch_size, class_mode="binary"
    )
    model.fit(train, epochs=int(epochs), validation_data=validation, verbose=0, callbacks=[_Stopwatch()])


if __name__ == "__main__":
    main(*sys.argv[1:])
