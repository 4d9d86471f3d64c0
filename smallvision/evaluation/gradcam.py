"""Where in a picture a network sees a class: Grad-CAM."""

import cv2
import keras
import numpy as np
import tensorflow as tf

from smallvision.evaluation.network_parts import cut_at_maps, unwrap


def gradcam(model: keras.Model, pictures: np.ndarray, class_indices: np.ndarray) -> np.ndarray:
    """Compute how much each part of a picture speaks for a class.

    The last feature maps are multiplied by the gradient of the class's logit at each place and summed over the
    channels; negative sums, which speak against the class, become 0. For a network with average pooling this is
    Grad-CAM. For a network with a `Flatten`, whose weights differ from place to place, the mean gradient of Grad-CAM
    would show the wrong places.

    Args:
        model: a model that `train` saved. If it averages over the mirror image, both views count.
        pictures: uint8 `(n, height, width, 3)`, RGB, few enough for one batch.
        class_indices: integers `(n,)`, the class to explain in each picture.

    Returns:
        float32 array `(n, height, width)` in [0, 1]. The hottest place of each picture is 1; if nothing speaks for the
        class, all of it is 0.

    Sources: R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based
    Localization", ICCV 2017. The gradient of each place is from R. L. Draelos and L. Carin, "Use HiResCAM instead of
    Grad-CAM for faithful explanations of convolutional neural networks", 2020, arXiv:2011.08891.
    """
    network, mirrored = unwrap(model)
    to_maps, to_vector, output = cut_at_maps(network)
    inputs = tf.convert_to_tensor(pictures, tf.float32) / 255

    def heat_of(batch: tf.Tensor) -> tf.Tensor:
        maps = to_maps(batch, training=False)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            # The logit comes before the sigmoid or softmax, whose gradient vanishes where the network is sure.
            logits = tf.matmul(to_vector(maps, training=False), output.kernel) + output.bias
            logits = tf.concat([-logits, logits], axis=1) if output.units == 1 else logits
            chosen = tf.gather(logits, class_indices, axis=1, batch_dims=1)
        return tf.nn.relu(tf.reduce_sum(maps * tape.gradient(chosen, maps), axis=3))

    heat = heat_of(inputs)
    if mirrored:
        heat += tf.reverse(heat_of(tf.reverse(inputs, axis=[2])), axis=[2])
    height, width = pictures.shape[1:3]
    sized = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in heat.numpy()])
    largest = sized.max(axis=(1, 2), keepdims=True)
    scaled: np.ndarray = np.divide(sized, largest, out=np.zeros_like(sized), where=largest > 0)
    return scaled
