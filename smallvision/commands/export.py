"""`smallvision export --format FORMAT OUTPUT`: write the trained model for other programs.

Every format takes float32 RGB in [0, 255], shape `(n, size, size, 3)`, and returns the probability of each class, or
with `--format features` the vector that the network's last layer takes. Class names and facts of the model are inside.
Each file is compared with the Keras model before it is put in place.
"""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from smallvision.core.errors import ParameterError, SurroundingsError
from smallvision.models.facts import read_facts
from smallvision.models.keras_file import load_model
from smallvision.models.quiet_tensorflow import import_tensorflow
from smallvision.serving.formats import FORMATS, export

PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def size_of(output: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="smallvision export", description="Write the model for others.")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="the file, or for saved_model the folder, to write")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument(
        "--pictures",
        type=Path,
        default=Path("data/pictures/train"),
        help="folder of pictures to measure int8's ranges on (default: %(default)s)",
    )
    chosen = parser.parse_args(arguments)
    kind, output = chosen.format, chosen.output
    if output.suffix != FORMATS[kind] and kind != "saved_model":
        raise ParameterError(f"{output}: expected a name that ends in {FORMATS[kind]}")
    if kind == "saved_model" and output.exists():
        raise ParameterError(f"{output}: exists; remove it, or choose another name")
    if kind == "onnx" and (missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]):
        raise SurroundingsError(f"{', '.join(missing)}: not installed; `make setup` does it")
    facts = read_facts(chosen.model)
    import_tensorflow()
    network = load_model(chosen.model, facts)
    found = export(kind, network, facts, output, chosen.pictures)
    print(f"export: {output}: {size_of(output) / 1e6:.1f} MB, {found}")
