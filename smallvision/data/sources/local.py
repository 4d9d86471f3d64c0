"""A zip archive or a folder of pictures on this machine."""

import shutil
import zipfile
from pathlib import Path

from smallvision.core.errors import InputError
from smallvision.core.files import require_space
from smallvision.data.sources.archives import natural_key
from smallvision.data.sources.folders import Folder

# The earliest date that a zip archive can hold. All members get it, so that equal pictures make equal archives.
EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)


def copy_archive(source: Path, target: Path) -> None:
    """Copy a zip archive to `target`."""
    require_space(target.parent, source.stat().st_size)
    shutil.copyfile(source, target)


def pack_folder(path: Path, target: Path) -> Folder:
    """Pack a folder into a zip archive, with the same bytes each time for the same files.

    Hidden files are left out, and links are followed: the archive holds the files that they lead to. Files are stored
    without compression, because pictures do not shrink.

    Returns:
        The folder, which says what was left out.

    Raises:
        InputError: the folder holds no file, or the name of a file is not UTF-8.
    """
    folder = Folder(path, path.name)
    if not folder.sizes:
        raise InputError(f"source: the folder {path} holds no files (hidden ones and dead links are left out)")
    require_space(target.parent, sum(folder.sizes.values()))
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(folder.sizes, key=natural_key):
            info = zipfile.ZipInfo(name, date_time=EARLIEST_DATE)
            with (path / name).open("rb") as source, archive.open(info, "w", force_zip64=True) as member:
                shutil.copyfileobj(source, member)
    return folder
