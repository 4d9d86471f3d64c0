"""Stage fetch: get the archive of pictures. Reads `source`."""

import argparse
import difflib
from pathlib import Path

from smallvision import archives
from smallvision.errors import ParameterError, run
from smallvision.files import replacing
from smallvision.params import read_params

NAMED_SOURCES = ("drawn", "kaggle", "microsoft")


def fetch(source: str, target: Path) -> None:
    """Write the archive at `source` to `target`, complete and verified, or raise.

    Each source is imported only when asked for: Kaggle's client alone takes a second.
    """
    if source == "drawn":
        from smallvision.sources import drawn

        drawn.draw_archive(target)
    elif source == "kaggle":
        from smallvision.sources import kaggle

        kaggle.download(target)
    elif source == "microsoft" or source.startswith(("http://", "https://")):
        from smallvision.sources import url

        url.download(url.MICROSOFT if source == "microsoft" else source, target)
    else:
        from smallvision.sources import local

        path = Path(source).expanduser()
        if path.is_dir():
            local.pack_folder(path, target)
        elif path.is_file():
            local.copy_archive(path, target)
        else:
            near = difflib.get_close_matches(source, NAMED_SOURCES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "with --temp or --queue, give an absolute path"
            raise ParameterError(
                f"params.yaml: source: {source!r} is no file or folder here, nor one of "
                f"{', '.join(NAMED_SOURCES)} or an address; {hint}"
            )
    archives.verify(target)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.fetch", description="Get the archive of pictures.")
    parser.add_argument("archive", type=Path, help="where to write it")
    arguments = parser.parse_args()
    params = read_params()
    with replacing(arguments.archive) as part:
        fetch(params.source, part)


if __name__ == "__main__":
    run("fetch", main)
