"""Find and read the pictures that a person names: files, folders, patterns and addresses."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NoReturn

from smallvision.core.errors import InputError, NetworkError, ParameterError
from smallvision.data.pictures.decoding import PictureError
from smallvision.data.sources.archives import MAX_PICTURE_BYTES, natural_key
from smallvision.data.sources.names import is_address
from smallvision.data.sources.picture_files import SUPPORTED_SUFFIXES, has_picture_suffix, is_hidden


def find(given: Sequence[str], *, allow_urls: bool) -> list[str]:
    """Return the files and addresses that the arguments stand for, in the order of the arguments.

    A folder stands for the pictures in it and in its subfolders, without hidden ones, in natural order. An argument
    with pattern characters (`*`, `?`, `[…]`, and `**` for any folders) stands for what it matches, unless a file has
    this very name.

    Raises:
        ParameterError: an argument is an address, and addresses are not allowed.
        InputError: a folder holds no pictures, or a pattern matches nothing.
    """
    found: list[str] = []
    for name in given:
        if is_address(name):
            if not allow_urls:
                raise ParameterError(f"{name}: add --allow-urls to have addresses fetched")
            found.append(name)
        elif os.path.lexists(name) or not glob.has_magic(name):
            found += _below(name) if Path(name).is_dir() else [name]
        else:
            matches = sorted(glob.glob(name, recursive=True), key=natural_key)  # noqa: PTH207 (a pattern may be absolute)
            if not matches:
                raise InputError(f"{name}: no such file, and nothing that it matches as a pattern")
            for match in matches:
                found += _below(match) if Path(match).is_dir() else [match]
    return found


def _below(folder: str) -> list[str]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(PurePath(name))]
        files = [PurePath(name) for name in names]
        found += [str(Path(parent, file)) for file in files if has_picture_suffix(file) and not is_hidden(file)]
    if not found:
        common = ", ".join(SUPPORTED_SUFFIXES[:6])
        raise InputError(f"{folder}: no pictures in this folder or below; expected {common}, …")
    return sorted(found, key=natural_key)


def read(name: str) -> bytes:
    """Read a file, or fetch an address.

    Raises:
        PictureError: the file cannot be read, or there are more than `MAX_PICTURE_BYTES` bytes.
        NetworkError: the address cannot be fetched.
    """
    if is_address(name):
        return _fetch(name)
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_PICTURE_BYTES + 1)
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from None
    return _within_limit(data)


def _fetch(address: str) -> bytes:
    import requests

    from smallvision.data.sources.url import TIMEOUT, reason_of

    data = bytearray()
    try:
        with requests.get(address, stream=True, timeout=TIMEOUT) as response:
            if not response.ok:
                raise NetworkError(f"the server answered {response.status_code} {response.reason}; check the address")
            for piece in response.iter_content(2**16):
                data += piece
                if len(data) > MAX_PICTURE_BYTES:
                    break
    except (requests.RequestException, UnicodeError) as error:
        raise NetworkError(f"{reason_of(error)}; check the address, or try again later") from None
    return _within_limit(bytes(data))


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_PICTURE_BYTES:
        raise PictureError(f"more than {MAX_PICTURE_BYTES // 2**20} MiB, which no picture needs")
    return data
