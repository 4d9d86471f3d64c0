"""Change values in the text of `params.yaml`, and leave every other letter of it as it is."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import ruamel.yaml
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from smallvision.core.errors import ParameterError
from smallvision.core.params_file import Value, to_yaml


def set_values(text: str, values: Mapping[str, Value], path: Path) -> str:
    """Return `text` with some values replaced; a key that is missing is added to its section.

    Only the values themselves are written anew. A YAML library that writes the whole file would also change quotes,
    indentation or line breaks that nobody asked it to touch.

    Args:
        text: valid YAML, a mapping.
        values: the new values, by keys such as `source` and `split.train`. The section of a key must be there.
        path: the file that error messages name.

    Raises:
        ParameterError: the file is written in a way that does not allow it, such as with a value that two keys share.
    """
    expected = _load(text)
    for key, value in values.items():
        expected = _with(expected, key.split("."), value)
        text = _set(text, key.split("."), value)
    # Where two keys share a value, by an anchor, the other key has changed too.
    try:
        found = _load(text)
    except (ruamel.yaml.error.YAMLError, ValueError):
        found = None
    if found != expected:
        names = ", ".join(values)
        raise ParameterError(f"{path}: {names}: this file is too unusual to be changed here; edit it by hand")
    return text


def _load(text: str) -> object:
    return ruamel.yaml.YAML(typ="safe", pure=True).load(text)


def _with(content: object, keys: Sequence[str], value: Value) -> object:
    if not keys:
        return value
    section = content if isinstance(content, dict) else {}
    return section | {keys[0]: _with(section.get(keys[0]), keys[1:], value)}


def _set(text: str, keys: Sequence[str], value: Value) -> str:
    section = ruamel.yaml.YAML(pure=True).compose(text)
    for name in keys[:-1]:
        section = _entries(section)[name][1]
    if keys[-1] not in _entries(section):
        return _add(text, section, f"{keys[-1]}: {to_yaml(value)}")
    key, old = _entries(section)[keys[-1]]
    start, end = old.start_mark.index, old.end_mark.index
    if start < end:
        return _replace(text, start, end, to_yaml(value))
    behind_colon = text.index(":", key.end_mark.index) + 1  # A value that is left empty has no place of its own.
    return _replace(text, behind_colon, behind_colon, f" {to_yaml(value)}")


def _entries(section: Node) -> dict[str, tuple[Node, Node]]:
    pairs = section.value if isinstance(section, MappingNode) else []
    return {key.value: (key, value) for key, value in pairs if isinstance(key, ScalarNode)}


def _replace(text: str, start: int, end: int, new: str) -> str:
    old, rest = text[start:end], text[end:]
    if old.endswith("\n"):  # a block of text, which begins with `|` or `>`
        new += "\n"
    # A comment stays in its column if there is room.
    if comment := re.match(r"( +)#", rest):
        spaces = max(len(old) + len(comment[1]) - len(new), 1)
        rest = " " * spaces + rest[len(comment[1]) :]
    return text[:start] + new + rest


def _add(text: str, section: MappingNode, entry: str) -> str:
    """Add an entry behind `source`, or behind the last entry of a section that has none."""
    key, value = next((pair for pair in section.value if pair[0].value == "source"), section.value[-1])
    end = value.end_mark.index
    if section.flow_style:
        return f"{text[:end]}, {entry}{text[end:]}"
    # The end of a value that is a section itself lies behind its last line break.
    end = end if text[:end].endswith("\n") else text.find("\n", end) + 1 or len(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    before = "" if text[:end].endswith("\n") else newline
    return f"{text[:end]}{before}{' ' * key.start_mark.column}{entry}{newline}{text[end:]}"
