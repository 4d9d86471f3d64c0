"""Get the archive of pictures that the parameter `source` names."""

import difflib
import os
from dataclasses import replace
from pathlib import Path

from smallvision.core.errors import InputError, ParameterError
from smallvision.data.sources import names
from smallvision.data.sources.folders import Folder
from smallvision.data.sources.verifying import Contents, verify


def fetch_archive(source: str, target: Path) -> Contents:
    """Write the archive that `source` names to `target`, and read it to its end to find damage.

    A downloaded archive that is damaged is kept beside `target` as `download.bad`, so that one can look at it.

    Args:
        source: one of `names.NAMED`, an http(s) address, or the path of a zip archive or a folder.
        target: the file to write.

    Returns:
        What the archive holds. If a folder was packed, what is left out is that of the folder.

    Raises:
        ParameterError: `source` names nothing.
        InputError: the archive is damaged, or holds no picture.
        NetworkError: the download failed.
        SurroundingsError: the disk has too little space.
    """
    is_download = source == "microsoft" or names.is_address(source)
    folder = None
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
        folder = _copy_or_pack(source, target)
    try:
        contents = verify(target, names.name_of(source))
    except InputError as error:
        if not is_download:
            raise
        bad = target.with_name("download.bad")
        os.replace(target, bad)
        raise InputError(f"{error} (what came is kept as {bad})") from None
    if folder is None:
        return contents
    return replace(contents, left_out=[*folder.left_out, *contents.left_out], notes=[*folder.notes, *contents.notes])


def _copy_or_pack(source: str, target: Path) -> Folder | None:
    """Copy the zip archive, or pack the folder, at the path `source`, and return the folder if it is one."""
    from smallvision.data.sources import local

    try:
        path = Path(source).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (RuntimeError, OSError, ValueError) as error:  # an unknown ~user, a name that is too long, a NUL
        raise ParameterError(f"params.yaml: source: no path: {error}") from None
    if is_folder:
        return local.pack_folder(path, target)
    if is_file:
        local.copy_archive(path, target)
        return None
    near = difflib.get_close_matches(source, names.NAMED, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "with --temp or --queue, give an absolute path"
    raise ParameterError(
        f"params.yaml: source: {source!r} is no file or folder here, nor one of "
        f"{', '.join(names.NAMED)} or an address; {hint}"
    )
