"""Parts of a trained network: the features, the feature maps, and the output layer."""

import keras


def to_features(model: keras.Model) -> keras.Model:
    """Return the part of a network that turns a picture into a vector, without the layers that classify the vector.

    Args:
        model: a model that `train` saved. If it averages over the mirror image, the features are those of the picture
            itself.

    Returns:
        A model `(batch, size, size, 3)`, RGB in [0, 1] -> `(batch, length)`: the base with its pooling if the network
        is a base with a head, and otherwise all layers but the last.
    """
    network, _ = unwrap(model)
    first, last = network.layers[0], network.layers[-1]
    return first if isinstance(first, keras.Model) else keras.Model(network.inputs, last.input, name="features")


def unwrap(model: keras.Model) -> tuple[keras.Model, bool]:
    """Return the trained network without what was put around it afterwards, and whether that averages mirror images."""
    # A base with a head is a `Sequential`. It is not searched, because its base may have the same shapes as the whole.
    if isinstance(model, keras.Sequential):
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


def cut_at_maps(network: keras.Model) -> tuple[keras.Model, keras.Model, keras.layers.Dense]:
    """Cut a network in three: pictures to the last feature maps, these maps to a vector, and the output layer.

    Args:
        network: a network as `unwrap` returns it.

    Returns:
        A model `(batch, size, size, 3)` -> `(batch, height, width, channels)`, a model from there to `(batch, length)`,
        and the `Dense` layer that turns this vector into probabilities.
    """
    first, last = network.layers[0], network.layers[-1]
    if isinstance(first, keras.Model):  # the network is a base with a head, as `transfer.join` makes it
        to_maps, pooling = _cut(first, _index_behind_maps(first))
        to_vector = keras.Sequential([keras.Input(pooling.input_shape[1:]), pooling, *last.layers[:-1]])
        return to_maps, to_vector, last.layers[-1]
    return *_cut(network, _index_behind_maps(network), end=-1), last


def _index_behind_maps(network: keras.Model) -> int:
    """Return the index of the operation whose input is the last feature maps."""
    operations = _operations(network)
    return next(i for i in range(len(operations), 0, -1) if len(operations[i - 1].output.shape) == 4)


def _cut(network: keras.Model, index: int, end: int | None = None) -> tuple[keras.Model, keras.Model]:
    """Cut a network in two before the operation at `index`, and leave out the operations from `end` on."""
    if isinstance(network, keras.Sequential):
        first = keras.Sequential([keras.Input(network.input_shape[1:]), *network.layers[:index]])
        return first, keras.Sequential([keras.Input(first.output_shape[1:]), *network.layers[index:end]])
    tensor = network.operations[index].input
    output = network.outputs[0] if end is None else network.operations[end].input
    return keras.Model(network.inputs[0], tensor), keras.Model(tensor, output)
