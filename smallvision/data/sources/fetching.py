"""Get the archive of pictures that the parameter `source` names."""

import difflib
import os
from pathlib import Path

from smallvision.core.errors import InputError, ParameterError
from smallvision.data.sources import archives, names


def fetch_archive(source: str, target: Path) -> None:
    """Write the archive that `source` names to `target`, and read it to its end to find damage.

    A downloaded archive that is damaged is kept beside `target` as `download.bad`, so that one can look at it.

    Args:
        source: one of `names.NAMED`, an http(s) address, or the path of a zip archive or a folder.
        target: the file to write.

    Raises:
        ParameterError: `source` names nothing.
        InputError: the archive is damaged, or does not hold pictures of at least two classes.
        NetworkError: the download failed.
        SurroundingsError: the disk has too little space.
    """
    is_download = source == "microsoft" or names.is_address(source)
    # Each source is imported only when it is asked for, because Kaggle's client alone takes a second.
    if source in ("drawn", "drawn3"):
        from smallvision.data.sources import drawn

        if source == "drawn":
            drawn.draw_archive(target)
        else:
            drawn.draw_archive(target, drawn.DRAWN3, drawn.FOLDERS)
    elif source == "kaggle":
        from smallvision.data.sources import kaggle

        kaggle.download(target)
    elif is_download:
        from smallvision.data.sources import url

        url.download(url.MICROSOFT if source == "microsoft" else source, target)
    else:
        _copy_or_pack(source, target)
    try:
        archives.verify(target, names.name_of(source))
    except InputError as error:
        if not is_download:
            raise
        bad = target.with_name("download.bad")
        os.replace(target, bad)
        raise InputError(f"{error} (what came is kept as {bad})") from None


def _copy_or_pack(source: str, target: Path) -> None:
    """Copy the zip archive, or pack the folder, at the path `source`."""
    from smallvision.data.sources import local

    try:
        path = Path(source).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (RuntimeError, OSError, ValueError) as error:  # an unknown ~user, a name that is too long, a NUL
        raise ParameterError(f"params.yaml: source: no path: {error}") from None
    if is_folder:
        local.pack_folder(path, target)
    elif is_file:
        local.copy_archive(path, target)
    else:
        near = difflib.get_close_matches(source, names.NAMED, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "with --temp or --queue, give an absolute path"
        raise ParameterError(
            f"params.yaml: source: {source!r} is no file or folder here, nor one of "
            f"{', '.join(names.NAMED)} or an address; {hint}"
        )
