"""Fill in `pictures.md`: what `smallvision look` prints about each folder that is drawn there.

Run it from the project's root with `python -m docs.pictures`. A block `tree` draws a folder. The block `look` after it
begins with a command about that folder; the lines below are made here.
"""

import io
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from smallvision.commands.look import describe
from smallvision.commands.source_summary import read_source
from smallvision.core.errors import UserError
from smallvision.core.files import write_text
from smallvision.data.sources.files import open_files

TARGET = Path("docs/pictures.md")
BLOCK = re.compile(r"^```(?P<kind>tree|look)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"smallvision look (?P<folder>\S+)(?P<options>.*)")


def read_tree(drawing: str) -> dict[str, str | None]:
    """Return the files of a folder that is drawn: the text of each table, and None for every other file.

    A line names a folder, which ends in `/`, and perhaps files in it after two blanks; or it names files. `1.jpg …
    8.jpg` stands for all from the first to the last. Lines with `|` are the text of the file above them.
    """
    files: dict[str, str | None] = {}
    folders: list[str] = []
    for line in drawing.splitlines():
        text = line.strip()
        if text.startswith("|"):
            last = next(reversed(files))
            files[last] = f"{files[last] or ''}{text[1:].strip()}\n"
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        first, *names = re.split(r" {2,}", text)
        if first.endswith("/"):
            folders[depth:] = [first]
        else:
            folders[depth:], names = [], [first, *names]
        files |= {"".join([*folders, name]): None for each in names for name in _numbered(each)}
    return files


def _numbered(name: str) -> list[str]:
    """Return the names that `1.jpg … 8.jpg` stands for, or the one name."""
    if " … " not in name:
        return [name]
    first, last = (re.split(r"(\d+)", end) for end in name.split(" … "))
    place = next(place for place, (a, b) in enumerate(zip(first, last, strict=True)) if a != b)
    width = len(first[place])
    return [
        "".join([*first[:place], str(number).zfill(width), *first[place + 1 :]])
        for number in range(int(first[place]), int(last[place]) + 1)
    ]


def write_tree(folder: Path, files: dict[str, str | None]) -> None:
    """Write the files of a folder that is drawn. Those that end in `.jpg` are pictures, each one different noise."""
    for seed, (name, text) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".jpg":
            path.write_text(text or "a text", encoding="utf-8")
            continue
        data = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(data, "JPEG")
        path.write_bytes(data.getvalue())


def look(folder: Path, command: str) -> list[str]:
    """Return what a command prints about the folder that it names, which lies in `folder`; sheets are not drawn."""
    found = COMMAND.fullmatch(command)
    if not found:
        raise ValueError(f"expected `smallvision look FOLDER …`, received {command}")
    words = shlex.split(found["options"])
    options = dict(zip(words[::2], words[1::2], strict=True))
    try:
        with open_files(folder / found["folder"]) as files:
            reading = read_source(files, options.pop("--labels", "auto"), options.pop("--group", None))
            return describe(files, reading)
    except UserError as error:
        return [f"look: {error}"]


def render(text: str) -> str:
    """Return the page with the lines of each block `look` made anew."""
    return "".join(_render_parts(text))


def _render_parts(text: str) -> Iterator[str]:
    drawing, done = "", 0
    for block in BLOCK.finditer(text):
        yield text[done : block.start()]
        done = block.end()
        if block["kind"] == "tree":
            drawing = block["body"]
            yield block[0]
            continue
        command = block["body"].splitlines()[0]
        with tempfile.TemporaryDirectory() as folder:
            write_tree(Path(folder), read_tree(drawing))
            yield "\n".join(["```look", command, *look(Path(folder), command.removeprefix("$ ")), "```"])
    yield text[done:]


if __name__ == "__main__":
    write_text(TARGET, render(TARGET.read_text(encoding="utf-8")))
