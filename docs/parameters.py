"""Write `parameters.md`: every key of `params.yaml`, from its schema and from the comments in the file.

Run it from the project's root with `python -m docs.parameters`. The schema says what a value may be. The meaning is the
first comment that stands beside the key in any recipe, or else the comment beside its section.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ruamel.yaml
from pydantic import TypeAdapter

from smallvision.core import params
from smallvision.core.files import write_text

TARGET = Path("docs/parameters.md")
HEADER = """\
# Every parameter

`python -m docs.parameters` makes this page from `params.yaml` and
[smallvision/core/params.py](../smallvision/core/params.py), and a test checks that it is up to date. A value outside
its range, a misspelled key and a missing one end a stage with exit code 2 and one line that names the key.

`dvc exp run -S KEY=VALUE` changes a key for one experiment: `-S lr=3e-4`, `-S split.train=500`,
`-S recipes.augmented.dropout=0.3`. DVC accepts only keys that stand in `params.yaml`; if a recipe lacks a key, write
the line into the file first.
"""

Schema = dict[str, Any]
Meanings = dict[str, str]


def read_meanings(path: Path = Path("params.yaml")) -> Meanings:
    """Return the comment beside each key under the key's path, in which `NAME` stands for the recipe's name."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()

    def walk(section: ruamel.yaml.CommentedMap, above: str) -> Iterator[tuple[str, str]]:
        for key, value in section.items():
            name = f"{above}{key}"
            _, _, comment = lines[section.lc.key(key)[0]].partition(" # ")
            if comment:
                yield name, comment.strip()
            if name == "recipes":
                for recipe in value.values():
                    yield from walk(recipe, "recipes.NAME.")
            elif isinstance(value, dict):
                yield from walk(value, f"{name}.")

    meanings: Meanings = {}
    for name, comment in walk(ruamel.yaml.YAML().load(text), ""):
        meanings.setdefault(name, comment)
    return meanings


def sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the path of each section, which is empty or ends with a dot, and the section's schema."""

    def walk(section: Schema, path: str) -> Iterator[tuple[str, Schema]]:
        yield path, section
        for key, each in section["properties"].items():
            for name, inner in ((f"{path}{key}.", each), (f"{path}{key}.NAME.", each.get("additionalProperties", {}))):
                for choice in inner.get("anyOf", [inner]):
                    if reference := choice.get("$ref"):
                        yield from walk(schema["$defs"][reference.split("/")[-1]], name)

    yield from walk(schema, "")


def describe_values(schema: Schema) -> str:
    """Say in words what a value may be."""
    if "anyOf" in schema:
        return ", or ".join(describe_values(choice) for choice in schema["anyOf"])
    if "$ref" in schema or "additionalProperties" in schema:
        return "a section"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true`, `false`",
        "null": "`null`",
        "array": "list of names",
    }[schema["type"]]
    # If a type has a validator of its own, pydantic keeps the limits under its own names and not under JSON Schema's.
    for names, text in (
        (("minimum", "ge"), "from"),
        (("exclusiveMinimum", "gt"), "above"),
        (("maximum", "le"), "to"),
        (("exclusiveMaximum", "lt"), "below"),
    ):
        words += "".join(f" {text} {schema[name]:,}" for name in names if name in schema)
    return words


def render(meanings: Meanings) -> str:
    """Return the document.

    Raises:
        KeyError: a key has no comment in `params.yaml`.
    """
    parts = [HEADER]
    for path, section in sections(params.Params.model_json_schema()):
        name = path.removesuffix(".")
        about = section["description"] if path else ""
        parts.append(f"## {f'`{name}`' if path else 'At the top'}\n" + (f"\n{about}\n" if about else ""))
        parts.append("| key | values | if left out | meaning, unit |\n|---|---|---|---|")
        fields = getattr(params, section["title"]).model_fields
        for key, each in section["properties"].items():
            # If a validator takes any value, the schema does not say what is meant; the annotation does.
            known = each.keys() & {"type", "anyOf", "$ref", "enum"}
            values = describe_values(each if known else TypeAdapter(fields[key].annotation).json_schema())
            default = "an error" if key in section.get("required", []) else f"`{_written(each['default'])}`"
            above = f"instead of `{key}` at the top" if path and key in params.Params.model_fields else None
            meaning = meanings.get(f"{path}{key}") or above or meanings.get(name)
            if not meaning:
                raise KeyError(f"{path}{key} has no comment in params.yaml that says what it means")
            row = [f"`{key}`", values, default, meaning.replace("|", "\\|")]
            parts[-1] += f"\n| {' | '.join(row)} |"
        parts[-1] += "\n"
    return "\n".join(parts)


def _written(value: object) -> str:
    """Return a value as it stands in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    write_text(TARGET, render(read_meanings()))


if __name__ == "__main__":
    main()
