"""Which files are pictures, judged by their names."""

from pathlib import PurePath

SUPPORTED_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp")
# Files called like these count as pictures too, so that they are rejected with a reason instead of being overlooked.
UNSUPPORTED_SUFFIXES = (".heic", ".heif", ".avif", ".tif", ".tiff")


def has_picture_suffix(path: PurePath) -> bool:
    """Tell whether a file is called like a picture, in a format that is supported or not."""
    return path.suffix.lower() in (*SUPPORTED_SUFFIXES, *UNSUPPORTED_SUFFIXES)


def is_hidden(path: PurePath) -> bool:
    """Tell whether a relative path is that of a hidden file, or leads through a hidden folder.

    Hidden folders hold thumbnails and the like. macOS writes files such as `._picture.jpg` that are no pictures; its
    archiver puts them below `__MACOSX`.
    """
    return any(part.startswith(".") for part in path.parts)
