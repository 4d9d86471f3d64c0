"""`python -m smallvision.predict PICTURE…`: what do these pictures show?"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from smallvision.errors import InputError, printable, run
from smallvision.modelfile import load_model, probabilities, read_card
from smallvision.pictures import PictureError, decode, to_input
from smallvision.quiet import import_tensorflow


def read_picture(path: Path, image_size: int) -> np.ndarray | str:
    """Return the picture as network input, or the reason why it cannot be used."""
    try:
        data = path.read_bytes()
        decode(data)  # only to find what is wrong with it
        return to_input(data, image_size)
    except PictureError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m smallvision.predict", description="What do these pictures show?")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument("--skip-bad", action="store_true", help="exit 0 though some pictures could not be read")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with every class")
    arguments = parser.parse_args()
    card = read_card(arguments.model)
    read = [(path, read_picture(path, card.image_size)) for path in arguments.pictures]
    good = [(path, picture) for path, picture in read if isinstance(picture, np.ndarray)]
    bad = [(path, reason) for path, reason in read if isinstance(reason, str)]
    for path, reason in bad:
        print(printable(f"predict: {path}: {reason}"), file=sys.stderr)
    if good:
        import_tensorflow()
        model = load_model(arguments.model, card)
        predicted = probabilities(model, np.stack([picture for _, picture in good]))
        for (path, _), row in zip(good, predicted, strict=True):
            best = int(row.argmax())
            if arguments.json:
                each = {name: round(float(p), 6) for name, p in zip(card.classes, row, strict=True)}
                print(json.dumps({"picture": str(path), "class": card.classes[best], "probabilities": each}))
            else:
                print(printable(f"{path} {card.classes[best]} {row[best]:.3f}"))
    if bad and not (arguments.skip_bad and good):
        raise InputError(f"{len(bad)} of {len(read)} pictures could not be read")


if __name__ == "__main__":
    run("predict", main)
