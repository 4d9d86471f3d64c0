"""`smallvision review`: a page of the pictures that a person should look at. Nothing is altered."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smallvision.commands.review_page import build_page
from smallvision.core.errors import InputError, printable
from smallvision.core.files import locked, sha256_of, write_text
from smallvision.data.pictures.manifest import read_manifest
from smallvision.models.facts import read_facts
from smallvision.models.keras_file import load_model
from smallvision.models.quiet_tensorflow import import_tensorflow


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="smallvision review", description="Likely label errors, duplicates and rejected pictures."
    )
    parser.add_argument("--top", type=int, default=40, help="pictures of each list; default: %(default)s")
    parser.add_argument("--model", type=Path, default=Path("data/models/model.keras"), help="default: %(default)s")
    parser.add_argument("--pictures", type=Path, default=Path("data/pictures"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("data/review/index.html"), help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    if chosen.top < 1:
        parser.error(f"--top: expected at least 1, received {chosen.top}")
    facts = read_facts(chosen.model)
    manifest = read_manifest(chosen.pictures / "manifest.json")
    if facts.pictures != sha256_of(chosen.pictures / "manifest.json"):
        raise InputError(f"{chosen.model}: trained on another split than {chosen.pictures}; `dvc repro` trains")
    import_tensorflow()
    from smallvision.evaluation.label_errors import find_suspects

    held_out, train = find_suspects(load_model(chosen.model, facts), facts, chosen.pictures, manifest)
    with locked(chosen.page):
        write_text(chosen.page, build_page(chosen.pictures, manifest, facts, held_out, train, chosen.top))
    print(
        f"review: {chosen.page}: likely label errors: {len(held_out)} of validation and test, "
        f"{'unknown' if train is None else len(train)} of train; {len(manifest.duplicates)} groups of duplicates; "
        f"{len(manifest.rejected)} rejected"
    )
    for suspect in [*held_out[:3], *(train or [])[:3]]:
        print(printable(f"review: {suspect}"))
