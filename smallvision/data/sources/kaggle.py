"""The pictures of Kaggle's competition Dogs vs. Cats, downloaded with Kaggle's own client."""

import os
import shutil
import sys
from pathlib import Path

import requests

from smallvision.core.errors import InputError, NetworkError, SurroundingsError
from smallvision.data.sources.verifying import verify

COMPETITION = "dogs-vs-cats"
FILE = "train.zip"  # the labelled pictures; the competition's test pictures have no labels
PAGE = f"https://www.kaggle.com/c/{COMPETITION}"
BY_HAND = f"or download {FILE} yourself at {PAGE}/data and set `source` to the file"


def download(target: Path) -> None:
    """Download the labelled pictures of the competition, or take them from kagglehub's cache.

    Raises:
        NetworkError: there is no token, it was refused, the rules are not accepted, or the download failed.
        SurroundingsError: kagglehub finds no home folder.
    """
    os.environ.setdefault("KAGGLEHUB_VERBOSITY", "warning")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        import kagglehub  # noqa: F401
    except RuntimeError as error:  # It calls Path.home() while it is imported.
        raise SurroundingsError(f"kaggle: {error}; set HOME") from None

    try:
        cached = _download(force=False)
        verify(cached, FILE)
    # kagglehub 1.0.x keeps a web page, zeros or a damaged archive for ever, as if it were a complete download. If the
    # file has changed on the server, it deletes the folder that it downloads to, and then fails.
    except (InputError, FileNotFoundError):
        cached = _download(force=True)
        try:
            verify(cached, FILE)
        except InputError as error:
            raise NetworkError(f"kaggle: {error}, the second time; try again later, {BY_HAND}") from None
    shutil.copyfile(cached, target)


def _download(*, force: bool) -> Path:
    import kagglehub
    from kagglehub.exceptions import DataCorruptionError, UnauthenticatedError

    try:
        return Path(kagglehub.competition_download(COMPETITION, FILE, force_download=force))
    except UnauthenticatedError:
        raise NetworkError(
            "kaggle: no API token found; create one at https://www.kaggle.com/settings and "
            f"set KAGGLE_API_TOKEN to it, {BY_HAND}"
        ) from None
    except DataCorruptionError:
        raise NetworkError(f"kaggle: the download was damaged on its way; try again, {BY_HAND}") from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        remedy = {
            401: f"the token in {_credentials()} was refused; renew it at https://www.kaggle.com/settings",
            403: f"the competition's rules are not accepted; accept them at {PAGE}/rules",
            404: "the competition is gone",
            429: "too many downloads; try again later",
        }.get(status, f"Kaggle answered {status}; try again later")
        raise NetworkError(f"kaggle: {remedy}, {BY_HAND}") from None
    except requests.RequestException as error:
        raise NetworkError(f"kaggle: no connection ({type(error).__name__}); try again later, {BY_HAND}") from None
    except ValueError as error:  # kaggle.json holds no credentials
        raise NetworkError(
            f"kaggle: {error}; download a new token at https://www.kaggle.com/settings, {BY_HAND}"
        ) from None


def _credentials() -> str:
    """Return where kagglehub took the token from, looking in its order."""
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    for name in ("access_token", "access_token.txt"):
        if Path("~/.kaggle", name).expanduser().exists():
            return f"~/.kaggle/{name}"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    return str(Path(os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle"), "kaggle.json"))
