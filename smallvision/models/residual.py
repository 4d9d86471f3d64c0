"""A small residual network, for training from scratch. It knows nothing of the pipeline."""

import keras
import tensorflow as tf
from keras import Input, Model, layers

from smallvision.models.convnet import output_layer
from smallvision.models.normalisation import FusedNormalisation

WIDTHS = (32, 64, 128, 256)


def residual(image_size: int | None, class_count: int, dropout: float = 0) -> Model:
    """Build a residual network of 1.2 million parameters.

    Args:
        image_size: side of the square RGB input in [0, 1], pixels, at least 46; None: any.
        class_count: number of classes.
        dropout: share of the pooled features dropped in training.

    Returns:
        A model as `convnet.baseline` returns.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the shortcut that averages before it
    halves from He et al., "Bag of Tricks for Image Classification", CVPR 2019, figure 2c.
    """
    picture = Input((image_size, image_size, 3))
    features = _convolution(picture, WIDTHS[0], stride=2)
    # Before the normalisation, which so has a quarter of the values to go through.
    features = layers.MaxPooling2D(2)(features)
    features = layers.ReLU()(_normalisation()(features))
    for width in WIDTHS:
        features = _block(features, width, stride=1 if width == WIDTHS[0] else 2)
    features = layers.GlobalAveragePooling2D()(features)
    if dropout:
        features = layers.Dropout(dropout)(features)
    return Model(picture, output_layer(class_count)(features), name="residual")


def _block(features: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Two convolutions, the first of which divides the sides by the stride, and a shortcut around them.

    With a stride of 1 the shortcut is `features` as they are, which have `width` channels already.
    """
    inside = _convolution(features, width, stride)
    inside = layers.ReLU()(_normalisation()(inside))
    inside = _normalisation()(_convolution(inside, width))
    if stride > 1:
        features = layers.AveragePooling2D(stride, padding="same")(features)
        features = _normalisation()(layers.Conv2D(width, 1, use_bias=False)(features))
    return layers.ReLU()(layers.add([inside, features]))


def _normalisation() -> layers.Layer:
    # Keras' 0.99 remembers a hundred steps, several epochs of a few hundred pictures.
    if tf.distribute.has_strategy():  # the whole batch counts, not a device's share of it
        return layers.BatchNormalization(momentum=0.9, synchronized=True)
    return FusedNormalisation(momentum=0.9)


def _convolution(features: keras.KerasTensor, width: int, stride: int = 1) -> keras.KerasTensor:
    if stride > 1:
        # By hand: `same` pads odd and even sides differently, so that a picture of another size is sampled at other
        # places than in training.
        features = layers.ZeroPadding2D(1)(features)
    # Batch normalisation follows, which makes a bias of no effect.
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(width, 3, stride, padding, use_bias=False, kernel_initializer="he_normal")(features)
