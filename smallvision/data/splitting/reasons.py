"""Why a picture takes no part, in words that can be counted."""

import re

NOT_A_CLASS = "not in `classes`"
COPY = "a copy of a {} picture"
GROUP = "in the group of a {} picture"
_PLURALS = {
    "an empty file": "empty",
    "no picture in a supported format": "in no supported format",
    **{COPY.format(subset): f"copies of {subset} pictures" for subset in ("validation", "test")},
    **{GROUP.format(subset): f"in groups of {subset} pictures" for subset in ("validation", "test")},
}


def kind_of(reason: str) -> str:
    """Return a reason without what it says of one picture alone, in words that can follow a number.

    `damaged: broken PNG file` becomes `damaged`, and `5x70 pixels, a side under 8` becomes `a side under 8`.
    """
    kind = re.sub(r"^\d+x\d+ pixels, ", "", re.split(r"[:;(]", reason)[0]).strip()
    return _PLURALS.get(kind) or re.sub(r"^format (.+) is not supported$", r"in the unsupported format \1", kind)
