"""Download an archive from an http(s) address."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
from tqdm import tqdm

from smallvision.core.errors import NetworkError, ParameterError
from smallvision.core.files import require_space, write_json

# The pictures are the same as Kaggle's, and need no account; some of the files are damaged.
MICROSOFT = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip"
)
TIMEOUT = (10, 30)  # seconds to wait for a connection, and for the next piece
PIECE = 2**16  # bytes that are written at once; less than that is lost when the connection breaks
ATTEMPTS = 5  # after so many attempts in a row that brought nothing new, the download has failed
BACK_OFF = 0.5  # seconds; the wait after the first failed attempt is twice this, and doubles with each further one
MAX_RETRY_AFTER = 120  # seconds that a server may ask us to wait
BY_HAND = "or download the archive yourself and set `source` to the file"


def download(address: str, target: Path) -> None:
    """Download a zip archive, and go on where a broken connection or an earlier run stopped.

    The file `download` beside `target` holds what has come so far, and `download.json` says from which address it came
    and which version of the file it is.

    Raises:
        ParameterError: the address is not valid.
        NetworkError: the server refused, it sent a web page, or the connection broke too often.
        SurroundingsError: the disk has too little space.
    """
    shown = _without_secrets(address)
    part, note = target.with_name("download"), target.with_name("download.json")
    transfer = _Transfer(address, shown, part, note, validator=_resume_or_empty(part, note, shown))
    try:
        _receive(transfer)
        os.replace(part, target)
    finally:
        if not (part.is_file() and part.stat().st_size):
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)


@dataclass
class _Transfer:
    """What is downloaded where to, and how far that has come.

    Attributes:
        address: what to ask the server for.
        shown: the address without secrets, for messages and `note`.
        part: the file that holds what has come so far.
        note: the file that says from where it came.
        validator: the version (ETag or date) of the file that `part` is the beginning of, if the server names one.
        attempts: how many attempts in a row brought nothing new.
        furthest: the largest size that `part` had in this run, bytes.
    """

    address: str
    shown: str
    part: Path
    note: Path
    validator: str | None
    attempts: int = 0
    furthest: int = 0


def _receive(transfer: _Transfer) -> None:
    shown = transfer.shown
    with _retrying_session() as session, tqdm(unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        while True:
            try:
                return _receive_rest(transfer, session, bar)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                transfer.attempts += 1
                if transfer.attempts == ATTEMPTS:
                    raise NetworkError(f"{shown}: {reason_of(error)}; try again later, {BY_HAND}") from None
                time.sleep(BACK_OFF * 2**transfer.attempts)
            except (requests.RequestException, UnicodeError) as error:
                raise NetworkError(f"{shown}: {reason_of(error)}; check the address, {BY_HAND}") from None


def _receive_rest(transfer: _Transfer, session: requests.Session, bar: "tqdm[NoReturn]") -> None:
    """Make one attempt to download what is missing."""
    part, received = transfer.part, transfer.part.stat().st_size
    # If the body were compressed on the way, a range would not count the bytes of the file.
    headers = {"Accept-Encoding": "identity"}
    # The rest can only be asked for if the server names the version of the file, so that both parts fit.
    if received and transfer.validator:
        headers |= {"Range": f"bytes={received}-", "If-Range": transfer.validator}
    with session.get(transfer.address, headers=headers, stream=True, timeout=TIMEOUT) as response:
        start = _check_and_rewind(response, transfer.shown, received, part)
        transfer.validator = _validator(response)
        write_json(transfer.note, {"address": transfer.shown, "validator": transfer.validator})
        bar.total, bar.n = start + _length(response) or None, start
        with part.open("ab") as file:
            for piece in response.iter_content(PIECE):
                file.write(piece)
                bar.update(len(piece))
                if file.tell() > transfer.furthest:  # A server that starts over each time brings nothing new.
                    transfer.attempts, transfer.furthest = 0, file.tell()


def _retrying_session() -> requests.Session:
    """Return a session that asks again when a server is busy; `_receive` handles broken connections."""
    retry = urllib3.Retry(
        total=ATTEMPTS,
        connect=0,
        read=0,
        other=0,
        backoff_factor=BACK_OFF,
        retry_after_max=MAX_RETRY_AFTER,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def _resume_or_empty(part: Path, note: Path, shown: str) -> str | None:
    """Return the version (ETag or date) of the part that an earlier run left, or None if there is none to go on with.

    A part from another address, or of an unknown version, is emptied.
    """
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        if part.is_file() and content["address"] == shown and isinstance(content["validator"], str):
            return str(content["validator"])
    except (OSError, ValueError, TypeError, KeyError):  # There is no note, or it is not one of ours.
        pass
    part.write_bytes(b"")
    return None


def _check_and_rewind(response: requests.Response, shown: str, received: int, part: Path) -> int:
    """Check a response before its body is read, and return the byte of the file at which the body starts.

    If that is the first byte, `part` is emptied.
    """
    status = response.status_code
    if status == 416:  # The server has no more bytes than are here already; an earlier run ended after the last one.
        part.write_bytes(b"")
        raise requests.ConnectionError("no such range")
    if status not in (200, 206):
        remedy = {401: "it wants a login", 403: "it wants a login", 404: "check the address"}.get(status, "try later")
        raise NetworkError(f"{shown}: the server answered {status} {response.reason}; {remedy}, {BY_HAND}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise NetworkError(f"{shown}: expected a zip archive, received a web page; open it in a browser, {BY_HAND}")
    start = received
    if status == 200 or not response.headers.get("Content-Range", "").startswith(f"bytes {received}-"):
        part.write_bytes(b"")  # This is the whole file, or a part that nobody asked for, so it must not be appended.
        start = 0
    if status == 206 and not start:
        raise requests.ConnectionError("the server sent another part than asked for")
    require_space(part.parent, _length(response))
    return start


def _length(response: requests.Response) -> int:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else 0


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _without_secrets(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ParameterError(f"params.yaml: source: no valid address: {error}") from None
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path.split(';')[0]}"


def reason_of(error: Exception) -> str:
    """Say in a few words why a request failed."""
    # In the middle of a body, requests raises a ConnectionError for a timeout.
    if any(isinstance(e, (requests.Timeout, urllib3.exceptions.ReadTimeoutError)) for e in (error, *error.args)):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
