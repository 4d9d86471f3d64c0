"""The values that the parameter `source` may have, and the name of a source in reports."""

from pathlib import Path
from urllib.parse import urlsplit

NAMED = ("drawn", "drawn3", "kaggle", "microsoft")


def is_address(source: str) -> bool:
    """Tell whether `source` is an http(s) address."""
    return source.lower().startswith(("http://", "https://"))


def name_of(source: str) -> str:
    """Return the name of a source for reports.

    Of a path or an address it is only the last part, which names no folder of this machine and holds no password. A
    file that is called like one of `NAMED` gets `./` in front.
    """
    if source in NAMED:
        return source
    name = Path(urlsplit(source).path.split(";")[0] if is_address(source) else source).name
    return f"./{name}" if name in (*NAMED, "") else name
