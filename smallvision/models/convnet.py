"""The book's convnet, which is trained from scratch, and the output layer of every network."""

from keras import Input, Model, Sequential, layers


def build_convnet(image_size: int, class_count: int, dropout: float = 0) -> Model:
    """Build the book's convnet: 3,453,121 parameters at 150 pixels and two classes.

    Args:
        image_size: side of the square RGB input in [0, 1], pixels, at least 46.
        class_count: number of classes.
        dropout: share of the flattened features that is dropped in training; the book's second network has 0.5.

    Returns:
        A model `(batch, image_size, image_size, 3)` -> `(batch, 1)`, the probability of the second of two classes, or
        -> `(batch, class_count)`, the probability of each class.

    Source: F. Chollet, *Deep Learning with Python*, 2017, listings 5.5 and 5.13.
    """
    return Sequential(
        [
            Input((image_size, image_size, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(512, activation="relu"),
            output_layer(class_count),
        ],
        name="convnet",
    )


def output_layer(class_count: int) -> layers.Layer:
    """Return one sigmoid unit for two classes, or a softmax for more, on features `(batch, n)`.

    It computes in float32 under every dtype policy, because bfloat16 has no number between 0.996 and 1.
    """
    if class_count == 2:
        return layers.Dense(1, activation="sigmoid", dtype="float32")
    return layers.Dense(class_count, activation="softmax", dtype="float32")
