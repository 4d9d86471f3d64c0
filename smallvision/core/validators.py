"""Functions that pydantic calls on single values of `params.yaml`: they accept the forms in which a value may come."""

import re
import reprlib

MAX_COUNT = 10_000_000  # pictures per class and subset


def as_whole(value: object) -> object:
    """Accept a float such as 30.0, which `dvc exp run -S` can write, as a whole number; leave anything else alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_number(value: object) -> object:
    """Accept a number in quotes, such as '1e-4'."""
    is_number = isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.I | re.A)
    return float(str(value)) if is_number else value


def as_layers(value: object) -> object:
    """Accept a number of layers, the name of a layer, or None.

    Raises:
        ValueError: it is none of these.
    """
    value = as_whole(value)
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not (number or value is None or (isinstance(value, str) and value)):
        raise ValueError(f"expected a number of layers or a layer's name, received {describe(value)}")
    return value


def as_classes(value: object) -> object:
    """Accept the names of at least two classes, or None. A name such as `2021` comes from the file as a number.

    Raises:
        ValueError: it is neither.
    """
    if value is None:
        return None
    names = [_as_name(each) for each in value] if isinstance(value, list) else []
    if len(set(names)) == len(names) > 1 and all(isinstance(name, str) and name for name in names):
        return names
    raise ValueError(f"expected null or a list of at least two different names, received {describe(value)}")


def as_group(value: object) -> object:
    """Accept what says which pictures belong together: None, a word, or a regular expression with exactly one group.

    Raises:
        ValueError: it is none of these.
    """
    if value is None or (isinstance(value, str) and value and "(" not in value):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError(
            f"expected null, folder, a column's name or a pattern with one group, received {describe(value)}"
        )
    try:
        count = re.compile(value).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no valid pattern ({error}), received {describe(value)}") from None
    if count != 1:
        raise ValueError(f"expected a pattern with exactly one group in parentheses, received {describe(value)}")
    return value


def as_size(value: object) -> object:
    """Accept the size of a subset: an int is a number of pictures per class, a float is a share.

    Raises:
        ValueError: it is neither.
    """
    value = as_whole(value)
    if not isinstance(value, bool) and isinstance(value, int | float):
        if isinstance(value, int) and 1 <= value <= MAX_COUNT:
            return value
        if 0 < value < 1:
            return float(value)
    raise ValueError(f"expected a number of pictures, or a share between 0 and 1, received {value!r}")


def _as_name(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def describe(value: object) -> str:
    """Return `repr(value)`, at most 60 characters of it."""
    # The anchors of YAML can make a small file a list of lists of lists for which repr writes gigabytes.
    text = reprlib.repr(value) if isinstance(value, (dict, list)) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."
