"""Where an archive comes from: drawn here, Kaggle, an address, a file or folder."""

from pathlib import Path
from urllib.parse import urlsplit

NAMED = ("drawn", "drawn3", "kaggle", "microsoft")


def is_address(source: str) -> bool:
    """Tell an address from a path."""
    return source.lower().startswith(("http://", "https://"))


def name_of(source: str) -> str:
    """Name a source for reports: of a path or address only the end, which holds no secret and no folder.

    A file that is named like one of `NAMED` keeps its `./`.
    """
    if source in NAMED:
        return source
    name = Path(urlsplit(source).path.split(";")[0] if is_address(source) else source).name
    return f"./{name}" if name in (*NAMED, "") else name
