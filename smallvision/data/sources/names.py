"""The values that the parameter `source` may have, and the name of a source in reports."""

from pathlib import Path
from urllib.parse import urlsplit

NAMED = ("drawn", "drawn3", "kaggle", "microsoft")


def is_address(source: str) -> bool:
    """Tell whether `source` is an http(s) address."""
    return source.lower().startswith(("http://", "https://"))


def name_of(source: str) -> str:
    """Return the name of a source for reports.

    For a path or an address that is only the last part, so that reports show neither the folders of this machine nor a
    password. A file that is called like one of `NAMED` gets `./` in front.
    """
    if source in NAMED:
        return source
    name = Path(urlsplit(source).path.split(";")[0] if is_address(source) else source).name
    return f"./{name}" if name in (*NAMED, "") else name
