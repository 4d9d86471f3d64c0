"""A zip archive or a folder of pictures on this machine."""

import shutil
import zipfile
from pathlib import Path

from smallvision.core.errors import InputError
from smallvision.core.files import require_space
from smallvision.data.sources.archives import natural_key
from smallvision.data.sources.picture_files import is_hidden

# The earliest date that a zip archive can hold. All members get it, so that equal pictures make equal archives.
EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)


def copy_archive(source: Path, target: Path) -> None:
    """Copy a zip archive to `target`."""
    require_space(target.parent, source.stat().st_size)
    shutil.copyfile(source, target)


def pack_folder(folder: Path, target: Path) -> None:
    """Pack a folder into a zip archive, with the same bytes each time for the same files.

    Hidden files and links are left out. Files are stored without compression, because pictures do not shrink.

    Raises:
        InputError: the folder holds no file, or the name of a file is not UTF-8.
    """
    names = sorted(
        (
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink() and not is_hidden(path.relative_to(folder))
        ),
        key=natural_key,
    )
    if not names:
        raise InputError(f"source: the folder {folder} holds no files (hidden ones and links are left out)")
    require_space(target.parent, sum((folder / name).stat().st_size for name in names))
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError:
                raise InputError(f"source: {folder / name}: the name is not UTF-8; rename the file") from None
            info = zipfile.ZipInfo(name, date_time=EARLIEST_DATE)
            with (folder / name).open("rb") as source, archive.open(info, "w", force_zip64=True) as member:
                shutil.copyfileobj(source, member)
