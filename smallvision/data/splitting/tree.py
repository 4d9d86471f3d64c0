"""Write the folders of pictures, one for each subset and class."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from smallvision.core.errors import InputError
from smallvision.core.files import require_space
from smallvision.data.pictures.manifest import SUBSETS, Manifest, write_manifest
from smallvision.data.sources.archives import Member, PictureArchive

MAX_NAME = 200  # bytes; file systems allow 255


def file_names(members: Sequence[Member]) -> list[str]:
    """Return a file name for each picture of a class.

    The names are those in the archive. But if two of them are the same (case aside) or one has more than `MAX_NAME`
    bytes, every name is shortened and gets the number of the picture in front.
    """
    names = [member.name for member in members]
    if len({name.casefold() for name in names}) == len(names) and max(len(n.encode()) for n in names) <= MAX_NAME:
        return names
    digits = len(str(len(names)))
    stems = [(PurePosixPath(name).stem.encode()[: MAX_NAME // 2].decode(errors="ignore"), name) for name in names]
    return [f"{index:0{digits}}__{stem}{PurePosixPath(name).suffix}" for index, (stem, name) in enumerate(stems)]


def write_tree(folder: Path, archive: PictureArchive, manifest: Manifest, members: Sequence[Member]) -> None:
    """Write the pictures to a folder beside `folder`, then move them in; the manifest comes last.

    Args:
        folder: where the subsets and the manifest belong.
        archive: where the pictures are read from.
        manifest: what to write.
        members: the members of the archive for `manifest.pictures`, in the same order.

    Raises:
        InputError: the archive was changed since its pictures were checked.
    """
    part = folder.with_name(f"part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    require_space(folder.parent, sum(member.info.file_size for member in members))
    try:
        for subset in SUBSETS:
            for label in manifest.classes:
                (part / subset / label).mkdir(parents=True)
        for entry, member in zip(manifest.pictures, members, strict=True):
            data = archive.read(member)
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise InputError(f"{member.path} was changed while the archive was read; try again")
            (part / entry.path).write_bytes(data)
        (folder / "manifest.json").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for subset in SUBSETS:
            if (folder / subset).exists():
                shutil.rmtree(folder / subset)
            os.replace(part / subset, folder / subset)
        write_manifest(folder / "manifest.json", manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
