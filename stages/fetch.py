"""Stage fetch: get the archive of pictures. Reads `source`."""

import argparse
import difflib
import os
from pathlib import Path

from smallvision.core.errors import InputError, ParameterError, run
from smallvision.core.files import locked, replacing
from smallvision.core.params import read_params
from smallvision.data.sources import archives
from smallvision.data.sources import names as sources


def fetch(source: str, target: Path) -> None:
    """Write the archive at `source` to `target`, complete and verified, or raise.

    A downloaded archive that is damaged is kept as `download.bad`, to be looked at. Each source is
    imported only when asked for: Kaggle's client alone takes a second.
    """
    downloaded = source == "microsoft" or sources.is_address(source)
    if source == "drawn":
        from smallvision.data.sources import drawn

        drawn.draw_archive(target)
    elif source == "drawn3":
        from smallvision.data.sources import drawn

        drawn.draw_archive(target, drawn.DRAWN3, drawn.FOLDERS)
    elif source == "kaggle":
        from smallvision.data.sources import kaggle

        kaggle.download(target)
    elif downloaded:
        from smallvision.data.sources import url

        url.download(url.MICROSOFT if source == "microsoft" else source, target)
    else:
        from smallvision.data.sources import local

        try:
            path = Path(source).expanduser()
            is_folder, is_file = path.is_dir(), path.is_file()
        except (RuntimeError, OSError, ValueError) as error:  # ~nobody, a name too long, a NUL
            raise ParameterError(f"params.yaml: source: no path: {error}") from None
        if is_folder:
            local.pack_folder(path, target)
        elif is_file:
            local.copy_archive(path, target)
        else:
            near = difflib.get_close_matches(source, sources.NAMED, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "with --temp or --queue, give an absolute path"
            raise ParameterError(
                f"params.yaml: source: {source!r} is no file or folder here, nor one of "
                f"{', '.join(sources.NAMED)} or an address; {hint}"
            )
    try:
        archives.verify(target, sources.name_of(source))
    except InputError as error:
        if not downloaded:
            raise
        bad = target.with_name("download.bad")
        os.replace(target, bad)
        raise InputError(f"{error} (what came is kept as {bad})") from None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.fetch", description="Get the archive of pictures.")
    parser.add_argument("archive", type=Path, help="where to write it")
    arguments = parser.parse_args()
    params = read_params()
    with locked(arguments.archive), replacing(arguments.archive) as part:
        fetch(params.source, part)


if __name__ == "__main__":
    run("fetch", main)
