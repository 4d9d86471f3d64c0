"""A trained network taken apart."""

import keras


def to_features(model: keras.Model) -> keras.Model:
    """Return the part of a network that makes a vector of a picture, without what decides by it.

    Args:
        model: a model that `train` saves. Of one that averages over the mirror image, the picture as it is counts.

    Returns:
        A model from RGB in [0, 1] to vectors, `(batch, size, size, 3)` -> `(batch, n)`: the base of a head, or all
        but the last layer.
    """
    network, _ = unwrap(model)
    first, last = network.layers[0], network.layers[-1]
    return first if isinstance(first, keras.Model) else keras.Model(network.inputs, last.input, name="features")


def unwrap(model: keras.Model) -> tuple[keras.Model, bool]:
    """Return the network inside what was put around it after training, and whether that shows it the mirror image."""
    if isinstance(model, keras.Sequential):  # whose base may have the same shapes
        return model, False
    mirrored = any(type(operation).__name__ == "Flip" for operation in _operations(model))
    for layer in model.layers:
        if not isinstance(layer, keras.Model):
            continue
        if (layer.input_shape, layer.output_shape) == (model.input_shape, model.output_shape):
            network, inside = unwrap(layer)
            return network, mirrored or inside
    return model, mirrored


def _operations(network: keras.Model) -> list[keras.Operation]:
    operations: list[keras.Operation] = network.layers if isinstance(network, keras.Sequential) else network.operations
    return operations


def split(network: keras.Model) -> tuple[keras.Model, keras.Model, keras.layers.Dense]:
    """Cut a network in three: pictures to its last feature maps, those to the last vector, and the output layer."""
    first, last = network.layers[0], network.layers[-1]
    if isinstance(first, keras.Model):  # a base with a head, as transfer.join makes it
        to_maps, pooling = _cut(first, _behind_maps(first))
        to_vector = keras.Sequential([keras.Input(pooling.input_shape[1:]), pooling, *last.layers[:-1]])
        return to_maps, to_vector, last.layers[-1]
    return *_cut(network, _behind_maps(network), end=-1), last


def _behind_maps(network: keras.Model) -> int:
    """Return the index of the operation that takes the last feature maps."""
    operations = _operations(network)
    return next(i for i in range(len(operations), 0, -1) if len(operations[i - 1].output.shape) == 4)


def _cut(network: keras.Model, index: int, end: int | None = None) -> tuple[keras.Model, keras.Model]:
    """Cut a network of layers in two, before the operation of that index, and leave out those from `end` on."""
    if isinstance(network, keras.Sequential):
        first = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[:index]])
        return first, keras.Sequential([keras.Input(first.output_shape[1:]), *network.layers[index:end]])
    tensor = network.operations[index].input
    output = network.outputs[0] if end is None else network.operations[end].input
    return keras.Model(network.inputs[0], tensor), keras.Model(tensor, output)
