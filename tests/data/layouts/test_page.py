"""docs/pictures.md tells the truth: every folder that it draws is built, and read as the page says."""

import re
from pathlib import PurePosixPath

import pytest

from docs.pictures import BLOCK, look, read_tree, render, write_tree
from tests.conftest import ROOT

TEXT = (ROOT / "docs/pictures.md").read_text(encoding="utf-8")


def examples() -> list[tuple[dict[str, str | None], list[str]]]:
    """Return each drawn folder with the lines of a block that says what comes of it."""
    found, files = [], {}
    for block in BLOCK.finditer(TEXT):
        if block["kind"] == "tree":
            files = read_tree(block["body"])
        else:
            found.append((files, block["body"].splitlines()))
    return found


@pytest.mark.parametrize("number", range(len(examples())))
def test_a_folder_is_read_as_the_page_says(tmp_path, number):
    files, (command, *said) = examples()[number]
    write_tree(tmp_path, files)
    assert look(tmp_path, command.removeprefix("$ ")) == said, "run `python -m docs.pictures`"


@pytest.mark.parametrize("number", range(len(examples())))
def test_no_picture_of_a_drawing_vanishes(number):
    """The rows of the table and the pictures that are unlabelled or left out add up to those in the drawing."""
    files, (_, *said) = examples()[number]
    if len(said) == 1:
        return  # It is an error, after which nothing is copied or trained.
    rows = [line for line in said if re.fullmatch(r"\S+ +\d+( +\d+)*", line)]
    assert len(rows) >= 2
    others = re.findall(r"(?:unlabelled|left out, [\w ]+): (\d+)", " ".join(said))
    drawn = [path for path in files if PurePosixPath(path).suffix == ".jpg"]
    assert sum(int(line.split()[1]) for line in rows) + sum(map(int, others)) == len(drawn)


def test_the_page_has_every_kind_of_layout():
    text = " ".join(TEXT.split())
    readers = {"labels from folders", "labels from names of the files", "labels from the table"}
    assert {reader for reader in readers if reader in text} == readers
    for words in ("subsets that come with the pictures: train 16, validation 6, test 8", "unlabelled: 5 pictures",
                  "groups: 6", "the classes may be", "name no picture"):  # fmt: skip
        assert words in text
    assert len({tuple(files) for files, _ in examples()}) >= 15


def test_a_lie_on_the_page_is_found_out():
    lie = TEXT.replace("cat                                 8\n", "cat                                 9\n", 1)
    assert lie != TEXT
    assert render(lie) == TEXT


def test_a_drawing_names_its_files():
    drawing = (
        "a/\n  b/    cat.8.jpg … cat.11.jpg  x.png\n    t.csv\n      | n,l\n      | 1,2\n"
        "  c/\n    d/  007.jpg … 009.jpg\n  e.txt\n"
    )
    assert read_tree(drawing) == {
        **dict.fromkeys([f"a/b/cat.{n}.jpg" for n in (8, 9, 10, 11)]), "a/b/x.png": None, "a/b/t.csv": "n,l\n1,2\n",
        "a/c/d/007.jpg": None, "a/c/d/008.jpg": None, "a/c/d/009.jpg": None, "a/e.txt": None,
    }  # fmt: skip
