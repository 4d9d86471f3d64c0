"""Read `params.yaml`, say in one line what is wrong with it, and write single values as it has them."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

import ruamel.yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smallvision.core.errors import ParameterError, first_line
from smallvision.core.params import Augment, Params, Recipe, Split
from smallvision.core.validators import describe

MAX_KNOWN = 40  # names in a message
# Text that every version of YAML reads as text, inside brackets too. A word such as `no` is a boolean to older ones.
_PLAIN = re.compile(r"(?:[a-z_/]|~/|\.\.?/)(?:[\w./~+() -]*[\w./~+()-])?", re.IGNORECASE | re.ASCII)
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")

Value = str | float | None


def read_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters.

    Raises:
        ParameterError: the file is missing, it is not valid YAML, or a key or value is wrong.
    """
    try:
        return parse_params(path.read_text(encoding="utf-8-sig"), path)
    except FileNotFoundError:
        raise ParameterError(f"{path}: not found; run from the project's root") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def parse_params(text: str, path: Path) -> Params:
    """Parse and check `text`, the content of `path`, which error messages name.

    The parser is the one that DVC uses, which reads YAML 1.2: `1e-4` is a number, `yes` is a word, and a duplicate key
    is an error. PyYAML would read other values than `dvc params diff` shows.

    Raises:
        ParameterError: it is not valid YAML, or a key or value is wrong.
    """
    content = _parse_yaml(text, path)
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ParameterError(f"{path}: expected keys and values, received {found}; `git checkout {path}` restores it")
    try:
        checked = Params.model_validate(content)
    except RecursionError:
        raise ParameterError(f"{path}: a value contains itself; write it out instead") from None
    except ValidationError as error:
        # pydantic reports a misspelled key twice, as unknown and as missing; only the first says what was meant.
        first, *others = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        more = f" ({len(others)} more wrong)" if others else ""
        raise ParameterError(f"{path}: {_explain(first)}{more}") from None
    if checked.recipe not in checked.recipes:
        raise ParameterError(f"{path}: recipe: {no_such(checked.recipe, checked.recipes)}")
    return checked


def no_such(name: str, known: Iterable[str]) -> str:
    """Say that there is no `name`, and which of the known names may be meant."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    more = f" and {len(names) - MAX_KNOWN} more" if len(names) > MAX_KNOWN else ""
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:MAX_KNOWN])}{more}"
    return f"there is no {name!r}; {hint}"


def to_yaml(value: Value) -> str:
    """Return a value as YAML on one line. Text is quoted unless every version of YAML reads it as text without."""
    if not isinstance(value, str):
        return "null" if value is None else repr(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_escape(character) for character in value) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _parse_yaml(text: str, path: Path) -> object:
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except ruamel.yaml.error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}" if mark else ""
        problem = (error.problem or "cannot be read").strip().splitlines()[0]
        raise ParameterError(f"{path}{where}: no valid YAML: {problem}") from None
    except (ruamel.yaml.error.YAMLError, ValueError, RecursionError) as error:
        raise ParameterError(f"{path}: no valid YAML: {first_line(error)}") from None


def _explain(error: ErrorDetails) -> str:
    """Say what an error of pydantic means in terms of the file: the key, what was expected, what was received."""
    *section, last = [str(key) for key in error["loc"] if key != "[key]"]
    key = ".".join([*section, last])
    if error["type"] == "missing":
        return f"{key}: the key is missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: {no_such(last, _section_keys(section))}"
    if error["type"] == "value_error":
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    expected = error["msg"].removeprefix("Input should be ").replace("'", "")
    return f"{key}: expected {expected}, received {describe(error['input'])}"


def _section_keys(section: list[str]) -> Iterable[str]:
    if section[:1] == ["recipes"]:
        return Augment.model_fields if section[2:] == ["augment"] else Recipe.model_fields
    return Split.model_fields if section == ["split"] else Params.model_fields
