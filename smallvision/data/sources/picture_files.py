"""Which files are pictures, judged by their names and, where those do not tell, by their first bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

SUPPORTED_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp")
# Files called like these count as pictures too, so that they are rejected with a reason instead of being overlooked.
UNSUPPORTED_SUFFIXES = (
    ".heic", ".heif", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jxl",
)  # fmt: skip
# Tables, texts and archives, whose first bytes are not looked at: there may be one for each picture, and a text may
# begin like a portable pixmap by chance.
_NEVER_PICTURES = (
    ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xml", ".yaml", ".yml", ".txt", ".md", ".html", ".log", ".py",
    ".ipynb", ".zip", ".npy", ".npz", ".h5", ".pdf", ".mp4", ".avi", ".mov", ".db", ".ini",
    # Raw files of cameras begin like TIFF files, and lie beside a JPEG of the same picture.
    ".cr2", ".nef", ".arw", ".dng", ".pef", ".srw", ".nrw", ".3fr", ".iiq", ".erf", ".kdc", ".dcr",
)  # fmt: skip
# Folders in which systems and network disks keep thumbnails and what was deleted.
_OF_SYSTEMS = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found")
FIRST_BYTES = 32  # how many bytes `format_of` needs

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # with offsets of 64 bits
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51\0": "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # the sizes in bytes that a BMP's second header may have


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that takes no part.

    Attributes:
        path: its path in the archive or folder, with `/`, and with a `/` at its end if it is a folder.
        reason: why, in words that fit behind a count, such as `hidden` or `behind a dead link`.
    """

    path: str
    reason: str


def has_picture_suffix(path: PurePath) -> bool:
    """Tell whether a file is called like a picture, in a format that is supported or not."""
    return path.suffix.lower() in (*SUPPORTED_SUFFIXES, *UNSUPPORTED_SUFFIXES)


def is_picture(path: PurePath, read_first: Callable[[], bytes]) -> bool:
    """Tell whether a file is a picture, in a format that is supported or not.

    Args:
        path: the file; its ending decides if it is one of a picture, a table, a text and the like.
        read_first: returns the first `FIRST_BYTES` bytes of the file; called only if the ending does not decide.
    """
    if has_picture_suffix(path):
        return True
    return path.suffix.lower() not in _NEVER_PICTURES and format_of(read_first()) is not None


def format_of(first: bytes) -> str | None:
    """Return the format of a picture, judged by the first `FIRST_BYTES` bytes of its file; None if it is no picture.

    What begins with two letters only, as BMP and portable pixmaps do, must agree in further bytes, because texts begin
    with such letters too.
    """
    for start, name in _STARTS.items():
        if first.startswith(start):
            return name
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "WebP"
    if first[4:8] == b"ftyp" and first[8:12] in _HEIC_BRANDS:
        return "AVIF" if first[8:11] == b"avi" else "HEIC"
    if first[:2] == b"BM" and first[6:10] == bytes(4) and int.from_bytes(first[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if (
        first[:1] == b"P"
        and first[1:2] in b"123456"
        and first[2:3].isspace()
        and (first[3:4] + b" ")[0] in b"#0123456789"
    ):
        return "PPM"
    return None


def is_hidden(path: PurePath) -> bool:
    """Tell whether a relative path is that of a hidden file, or leads through a hidden folder or one of the system.

    Hidden folders hold thumbnails and the like. macOS writes files such as `._picture.jpg` that are no pictures; its
    archiver puts them below `__MACOSX`.
    """
    return any(part.startswith(".") or part in _OF_SYSTEMS for part in path.parts)
