"""docs/parameters.md is made from params.yaml and its schema, and says something about every key."""

import re

import pytest
from pydantic import TypeAdapter

from docs.parameters import describe_values, read_meanings, render, sections
from smallvision.core.params import Params
from tests.conftest import ROOT

TEXT = (ROOT / "docs/parameters.md").read_text(encoding="utf-8")


def test_the_document_is_in_step():
    assert render(read_meanings(ROOT / "params.yaml")) == TEXT, "run `python -m docs.parameters`"


def test_every_key_of_the_schema_has_a_row():
    for path, section in sections(Params.model_json_schema()):
        heading = path.removesuffix(".") or "At the top"
        table = re.search(rf"^## `?{re.escape(heading)}`?\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)[1]
        assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(section["properties"])


def test_a_key_without_a_comment_is_named():
    meanings = read_meanings(ROOT / "params.yaml")
    del meanings["recipes.NAME.epochs"]
    with pytest.raises(KeyError, match=r"recipes\.NAME\.epochs has no comment"):
        render(meanings)


def test_the_first_comment_counts_whatever_the_recipe(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "lr: 1 # step\n"
        "split: # per class\n  train: 1\n"
        "recipes:\n  a:\n    epochs: 3\n  b:\n    epochs: 3   # passes # over all\n"
        "    augment: # changes\n      zoom: 0 # size\n"
    )
    assert read_meanings(path) == {
        "lr": "step",
        "split": "per class",
        "recipes.NAME.epochs": "passes # over all",
        "recipes.NAME.augment": "changes",
        "recipes.NAME.augment.zoom": "size",
    }


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "ge": 46, "le": 1024}, "whole number from 46 to 1,024"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number from 0 below 1"),
        ({"type": "string", "enum": ["a", "b"]}, "`a`, `b`"),
        (TypeAdapter(int | str | None).json_schema(), "whole number, or text, or `null`"),
    ],
)
def test_values_in_words(schema, words):
    assert describe_values(schema) == words
