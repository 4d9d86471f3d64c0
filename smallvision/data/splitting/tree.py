"""Write the folders of pictures: one for each subset and class, and one for the unlabelled pictures."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from smallvision.core.errors import InputError, printable
from smallvision.core.files import require_space
from smallvision.data.layouts.words import folded
from smallvision.data.pictures.manifest import SUBSETS, UNLABELLED, Entry, Manifest, Unlabelled, write_manifest
from smallvision.data.sources.files import SourceFiles

# DVC would warn of an empty folder in every run.
ABOUT_UNLABELLED = (
    "Pictures that came without a label. `smallvision predict data/pictures/unlabelled` says what they show.\n"
)
MAX_NAME = 200  # bytes; file systems allow 255


def file_names(paths: Sequence[str]) -> list[str]:
    """Return a file name for each of the pictures that belong in one folder.

    The names are those in the archive. But if two of them would be one file on some systems, which take no notice of
    case or of how an accent is encoded, or if one has more than `MAX_NAME` bytes, every name is shortened and gets the
    number of the picture in front.
    """
    names = [PurePosixPath(path).name for path in paths]
    alike = {folded(name) for name in names}
    if len(alike) == len(names) and all(len(name.encode()) <= MAX_NAME for name in names):
        return names
    digits = len(str(len(names)))
    stems = [(PurePosixPath(name).stem.encode()[: MAX_NAME // 2].decode(errors="ignore"), name) for name in names]
    return [f"{index:0{digits}}__{stem}{PurePosixPath(name).suffix}" for index, (stem, name) in enumerate(stems)]


def write_tree(folder: Path, files: SourceFiles, manifest: Manifest) -> None:
    """Write the pictures to a folder beside `folder`, then move them in; the manifest comes last.

    Args:
        folder: where the subsets, the unlabelled pictures and the manifest belong.
        files: where the pictures are read from.
        manifest: what to write.

    Raises:
        InputError: the archive was changed since its pictures were checked.
    """
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    entries: list[Entry | Unlabelled] = [*manifest.pictures, *manifest.unlabelled]
    require_space(folder.parent, sum(files.size(entry.source) for entry in entries))
    try:
        (part / UNLABELLED).mkdir(parents=True)
        (part / UNLABELLED / "README.txt").write_text(ABOUT_UNLABELLED)
        for subset in SUBSETS:
            for label in manifest.classes:
                (part / subset / label).mkdir(parents=True)
        for entry in entries:
            data = files.read(entry.source)
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise InputError(f"{printable(entry.source)} was changed while the archive was read; try again")
            (part / entry.path).write_bytes(data)
        (folder / "manifest.json").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*SUBSETS, UNLABELLED):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
            os.replace(part / name, folder / name)
        write_manifest(folder / "manifest.json", manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
