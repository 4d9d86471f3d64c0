"""The numbers and the code in docs/network.md are right, and the drawing shows the feature maps of the network."""

import io
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from docs import feature_maps
from smallvision.data.pictures.decoding import to_input
from smallvision.data.sources.drawn import SEED, SPECIES, draw_picture
from smallvision.models.convnet import build_convnet
from smallvision.models.keras_file import average_over_mirror
from tests.conftest import ROOT

TEXT = (ROOT / "docs/network.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.search(r"^\| layer \| output .*?\n\n", TEXT, re.M | re.S)[0].strip().splitlines()[2:]
]


@pytest.fixture(scope="module")
def untrained() -> keras.Model:
    keras.utils.set_random_seed(42)
    return build_convnet(150, 2)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = build_convnet(150, 2)
    # Biases are 0 at first, so nobody would notice if the code left one out.
    model.set_weights([weight + 0.1 if weight.ndim == 1 else weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return feature_maps.draw_cat(150)


def python_blocks() -> dict:
    """Run the document's Python and return the names it defines."""
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S):
        exec(block, names)  # noqa: S102
    return names


def number(text: str) -> float:
    return float(text.replace(",", ""))


def evaluate(formula: str) -> float:
    """Compute a formula of the table, exactly, even if it says "rounded down"."""
    assert re.fullmatch(r"[\d +·*/()x-]+(, rounded down)?", formula), formula
    return eval(formula.replace("·", "*").replace(", rounded down", ""))  # noqa: S307


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_the_summary_is_the_one_the_command_prints(capsys):
    keras.backend.clear_session()  # the numbers in the layers' names start again
    exec(re.search(r'^    python -c "(.*summary.*)"$', TEXT, re.M)[1], {})  # noqa: S102
    assert capsys.readouterr().out.strip() in TEXT


def test_the_table_has_every_layer_with_its_arguments(model):
    *rows, total = ROWS
    assert len(rows) == len(model.layers)
    for row, layer in zip(rows, model.layers, strict=True):
        (argument,) = {
            "Conv2D": lambda layer: {layer.filters},
            "MaxPooling2D": lambda layer: set(layer.pool_size),
            "Flatten": lambda layer: {""},
            "Dense": lambda layer: {layer.units},
        }[type(layer).__name__](layer)
        kernel = ", 3" if isinstance(layer, keras.layers.Conv2D) else ""
        assert row[0] == f"`{type(layer).__name__}({argument}{kernel})`"
        assert row[1] == " x ".join(str(side) for side in layer.output.shape[1:])
        assert number(row[3]) == layer.count_params()
    assert number(total[3]) == model.count_params()


def test_the_tables_arithmetic_is_right():
    *rows, total = ROWS
    for _, output, size, parameters, why, *_ in rows:
        if size.startswith("7 "):
            assert evaluate(size) == number(output)
        elif size[:1].isdigit():
            assert int(evaluate(size)) == int(output.split()[0])
            assert size.endswith("rounded down") == (evaluate(size) % 1 != 0)
        assert not why or evaluate(why) == number(parameters)
    assert sum(number(row[5]) for row in rows if row[5]) == pytest.approx(number(total[5]), abs=0.01)


def test_the_multiplications_are_those_of_the_layers(model):
    counts = []
    for row, layer in zip(ROWS, model.layers, strict=False):
        if layer.weights:
            places = np.prod(layer.output.shape[1:3]) if len(layer.output.shape) == 4 else 1
            counts.append(int(places) * layer.kernel.shape.num_elements())
            assert float(row[5]) == round(counts[-1] / 1e6, 1)
    assert float(ROWS[-1][5]) == round(sum(counts) / 1e6, 1)
    convolutions, first_dense = sum(counts[:4]), 3_211_776
    assert f"do {convolutions / sum(counts):.1%} of the work" in plain(TEXT)
    assert f"with {1 - (first_dense + 513) / 3_453_121:.1%} of the parameters" in plain(TEXT)
    assert f"has {first_dense / 3_453_121:.1%} of the parameters" in plain(TEXT)


@pytest.mark.slow
def test_what_one_number_sees(model, untrained):
    """The sizes of the windows give the numbers, and the gradient of the last layer confirms the last one."""
    rows = iter(ROWS)
    side, step = 1, 1
    for layer in model.layers[:8]:
        window, stride = (3, 1) if isinstance(layer, keras.layers.Conv2D) else (2, 2)
        side, step = side + (window - 1) * step, step * stride
        assert next(rows)[6].split()[0] == str(side)
    maps = keras.Model(untrained.inputs[0], untrained.layers[7].output)
    # Max pooling passes a gradient only to the place of the maximum, so many pictures are used.
    pictures = tf.Variable(np.random.default_rng(0).random((16, 150, 150, 3), np.float32))
    with tf.GradientTape() as tape:
        first = tf.reduce_sum(maps(pictures)[:, 0, 0])
    seen = np.flatnonzero(np.any(tape.gradient(first, pictures), axis=(0, 2, 3)))
    assert (seen.min(), seen.max()) == (0, side - 1)


@pytest.mark.slow
def test_the_numpy_code_gives_keras_answer(model, picture):
    names = python_blocks()
    weights = [[array.numpy() for array in layer.weights] for layer in model.layers if layer.weights]
    ours = names["convnet"](picture / 255, weights)
    theirs = model(picture[None].astype(np.float32) / 255).numpy()[0]
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert 0.001 < ours[0] < 0.999


def test_the_rmsprop_code_takes_keras_steps():
    optimizer = keras.optimizers.RMSprop(1e-4)
    variable = keras.Variable(np.array([0.5, -0.2, 0.1], np.float32))
    weight, size = variable.numpy().astype(float), 0.0
    for gradient in np.array([[1, -0.01, 3e-5], [2, 0.01, 4e-5], [-1, 0.02, 0]], np.float32):
        optimizer.apply([gradient], [variable])
        weight, size = python_blocks()["rmsprop"](weight, gradient, size)
    np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-5)


@pytest.mark.slow
def test_the_gradients_differ_as_it_says(untrained):
    files = []
    for species in ("cat", "dog"):
        for number in range(10):
            file = io.BytesIO()
            draw_picture(species, np.random.default_rng([SEED, SPECIES.index(species), number])).save(file, "PNG")
            files.append(to_input(file.getvalue(), 150))
    with tf.GradientTape() as tape:
        answers = untrained(np.stack(files).astype(np.float32) / 255)
        loss = keras.losses.binary_crossentropy(np.repeat([[0.0], [1.0]], 10, axis=0), answers)
    kernels = [untrained.layers[index].kernel for index in (0, 9)]
    first, large = (float(np.abs(slope).mean()) / 20 for slope in tape.gradient(loss, [k.value for k in kernels]))
    assert f"{first:.4f} on average in the first convolution and {large:.6f} in the large dense layer" in plain(TEXT)
    assert 45 < first / large < 55


def test_the_figures_of_the_photographs_are_those_of_the_results():
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    for figure in ("73.2%", "80.2%", "83 to 85%"):
        assert figure in TEXT
        assert figure in results


def test_the_numbers_of_loss_and_sigmoid():
    names = python_blocks()
    shares, losses = (
        [float(cell) for cell in re.search(rf"^\| {name} \|(.*)\|$", TEXT, re.M)[1].split("|")]
        for name in ("p", "loss")
    )
    assert losses == [round(-np.log(share), 3) for share in shares]
    assert "0 becomes 0.500, 2 becomes 0.881, -2 becomes 0.119" in plain(TEXT)
    assert [round(names["sigmoid"](z), 3) for z in (0, 2, -2)] == [0.5, 0.881, 0.119]
    p, y = 0.01, 1
    assert f"that is {p - y:.3f} against {2 * (p - y) * p * (1 - p):.3f}" in plain(TEXT)


def test_the_first_weights_are_as_wide_as_it_says(untrained):
    first, large = np.sqrt(6 / (3 * 3 * 3 + 3 * 3 * 32)), np.sqrt(6 / (6272 + 512))
    for index, limit in ((0, first), (9, large)):
        assert 0.97 * limit < np.abs(untrained.layers[index].kernel.numpy()).max() <= limit
    assert f"±{first:.3f} in the first convolution and from ±{large:.3f} in" in plain(TEXT)
    assert large / 100 > 1e-4


def test_the_parameters_by_units(untrained):
    def parameters(units: int) -> int:
        return untrained.count_params() - 3_211_776 - 513 + (6273 * units + units + 1 if units else 6273)

    rows = re.search(r"\| units \| parameters.*?\n\n", TEXT, re.S)[0].strip().splitlines()[2:]
    for row in rows:
        units, count = (cell.strip() for cell in row.strip("|").split("|"))
        assert number(count) == parameters(int(units.split()[0]))
    assert parameters(512) == 3_453_121


def test_without_pooling_there_would_be_so_many_numbers():
    assert f"{142 * 142 * 128:,} numbers (142 x 142 x 128)" in plain(TEXT)
    assert round(142 * 142 * 128 * 512 / 1e9, 1) == 1.3
    assert 150 - 4 * 2 == 142


def test_dropout_is_one_layer_more_without_parameters():
    with_dropout = build_convnet(150, 2, 0.5)
    assert len(with_dropout.layers) == 12
    assert [type(layer).__name__ for layer in with_dropout.layers[8:11]] == ["Flatten", "Dropout", "Dense"]
    assert with_dropout.count_params() == 3_453_121


def test_the_drawing_shows_the_maps_of_every_convolution_and_pooling(model, picture):
    maps = feature_maps.feature_maps(model, picture)
    assert list(maps) == [f"{kind} {number}" for number in (1, 2, 3, 4) for kind in ("Conv2D", "MaxPooling2D")]
    assert [each.shape for each in maps.values()] == [layer.output.shape[1:] for layer in model.layers[:8]]
    first = np.asarray(model.layers[0](picture[None].astype(np.float32) / 255))[0]
    np.testing.assert_array_equal(maps["Conv2D 1"], first)
    sheet = feature_maps.draw_sheet(picture, maps, "cat")
    step = feature_maps.SIDE + feature_maps.GAP
    lowest = np.asarray(sheet.convert("L"))[8 * step :, feature_maps.TEXT : feature_maps.TEXT + feature_maps.SIDE]
    strongest = feature_maps.strongest(maps["MaxPooling2D 4"], 8)[0]
    # The map has seven squares a side, and the brightest is where it is largest.
    row, column = np.unravel_index(maps["MaxPooling2D 4"][..., strongest].argmax(), (7, 7))
    side = feature_maps.SIDE / 7
    assert lowest[int((row + 0.5) * side), int((column + 0.5) * side)] == 255


def test_the_convnet_is_found_inside_what_train_puts_around_it(model):
    assert feature_maps.find_convnet(average_over_mirror(model)) is model
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)], name="head")
    assert feature_maps.find_convnet(other) is None


def test_the_committed_drawing_has_that_form():
    with Image.open(ROOT / "docs/feature_maps.png") as image:
        step = feature_maps.SIDE + feature_maps.GAP
        assert image.size == (feature_maps.TEXT + 8 * step - feature_maps.GAP, 9 * step - feature_maps.GAP)
