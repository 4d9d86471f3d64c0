"""A small residual network for training from scratch."""

import keras
import tensorflow as tf
from keras import Input, Model, layers

from smallvision.models.convnet import output_layer
from smallvision.models.normalisation import FusedNormalisation

WIDTHS = (32, 64, 128, 256)


def build_residual(image_size: int | None, class_count: int, dropout: float = 0) -> Model:
    """Build a residual network of 1.2 million parameters.

    Args:
        image_size: side of the square RGB input in [0, 1], pixels, at least 46; None accepts any side.
        class_count: number of classes.
        dropout: share of the pooled features that is dropped in training.

    Returns:
        A model with inputs and outputs as `build_convnet` has them.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. The shortcut that halves the sides by
    averaging is from He et al., "Bag of Tricks for Image Classification", CVPR 2019, figure 2c.
    """
    picture = Input((image_size, image_size, 3))
    features = _convolution(picture, WIDTHS[0], stride=2)
    # Pooling comes before the normalisation, which then has only a quarter of the values to process.
    features = layers.MaxPooling2D(2)(features)
    features = layers.ReLU()(_normalisation()(features))
    for width in WIDTHS:
        features = _block(features, width, stride=1 if width == WIDTHS[0] else 2)
    features = layers.GlobalAveragePooling2D()(features)
    if dropout:
        features = layers.Dropout(dropout)(features)
    return Model(picture, output_layer(class_count)(features), name="residual")


def _block(features: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    """Add two convolutions and a shortcut around them; the first convolution divides the sides by the stride.

    With a stride of 1 the shortcut passes `features` unchanged, so they must have `width` channels already.
    """
    inside = _convolution(features, width, stride)
    inside = layers.ReLU()(_normalisation()(inside))
    inside = _normalisation()(_convolution(inside, width))
    if stride > 1:
        features = layers.AveragePooling2D(stride, padding="same")(features)
        features = _normalisation()(layers.Conv2D(width, 1, use_bias=False)(features))
    return layers.ReLU()(layers.add([inside, features]))


def _normalisation() -> layers.Layer:
    # Keras' default momentum of 0.99 averages over about a hundred steps, which is several epochs of a few hundred
    # pictures.
    if tf.distribute.has_strategy():  # Then the statistics must be the whole batch's, not those of one device's share.
        return layers.BatchNormalization(momentum=0.9, synchronized=True)
    return FusedNormalisation(momentum=0.9)


def _convolution(features: keras.KerasTensor, width: int, stride: int = 1) -> keras.KerasTensor:
    if stride > 1:
        # `same` pads odd and even sides differently, so a picture of another size than in training would be sampled at
        # other places. Explicit padding is the same for all sizes.
        features = layers.ZeroPadding2D(1)(features)
    # No bias: the batch normalisation that follows would cancel it.
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(width, 3, stride, padding, use_bias=False, kernel_initializer="he_normal")(features)
