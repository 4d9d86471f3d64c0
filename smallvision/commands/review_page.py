"""The page that `smallvision review` writes: one HTML file that holds its pictures."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from smallvision.core.errors import printable
from smallvision.data.pictures.decoding import decode
from smallvision.data.pictures.manifest import Entry, Manifest
from smallvision.models.facts import ModelFacts

if TYPE_CHECKING:
    from smallvision.evaluation.label_errors import Suspect

THUMBNAIL = 200  # pixels of the longer side
HELD_OUT = """The model was not trained on these. A wrong label here makes the accuracy that is reported wrong."""
TRAIN = """The model may have learned wrong labels of these, so each was judged by logistic regressions on the model's
features that were fitted to other training pictures. A wrong label here teaches the model the wrong thing."""
DUPLICATES = """They look the same, mirrored ones included, and were kept in one subset, so no copy of a training
picture is in the test set. Copies with different labels come first: one of the labels is wrong, or both are right."""
STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1120px; padding: 0 1rem; color: #222; }
h2 { border-bottom: 1px solid #bbb; margin-top: 2.5rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; align-items: flex-end; }
.group { border-left: 3px solid #bbb; padding-left: 1rem; }
figure { margin: 0; width: 200px; }
img { max-width: 100%; display: block; }
figcaption, td { font-size: 13px; overflow-wrap: anywhere; }
td { padding: 0.2rem 1rem 0.2rem 0; vertical-align: top; }
.path { color: #555; }
"""


def build_page(
    folder: Path,
    manifest: Manifest,
    facts: ModelFacts,
    held_out: Sequence["Suspect"],
    train: "Sequence[Suspect] | None",
    top: int,
) -> str:
    """Return the page as HTML. Every name in it is escaped.

    Args:
        folder: the pictures, `data/pictures`.
        manifest: the manifest of that folder.
        facts: the facts of the model that judged the pictures.
        held_out: likely label errors among validation and test pictures, the likeliest first.
        train: likely label errors among the training pictures; None if there are too few pictures to tell.
        top: how many of each to show.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Review of {_text(manifest.source)}</title>
<style>{STYLE}</style>
<h1>Pictures to look at</h1>
<p>{len(manifest.pictures)} pictures of {_text(manifest.source)}, judged by the model {_text(facts.recipe)}
({_text(facts.weights[:12])}). These are guesses for a person to decide on; nothing was altered. To correct a label,
move or rename the picture in the source, and run the pipeline again (<code>dvc repro -f fetch</code>).</p>
{_suspects("Likely label errors, validation and test", HELD_OUT, folder, held_out, top)}
{_suspects("Likely label errors, train", TRAIN, folder, train, top)}
{_duplicates(folder, manifest)}
{_rejected(manifest)}
</html>
"""


def _suspects(title: str, text: str, folder: Path, suspects: "Sequence[Suspect] | None", top: int) -> str:
    if suspects is None:
        return (
            f"<h2>{title}: unknown</h2>\n<p>A class has only one training picture, so none can be judged by others.</p>"
        )
    figures = [
        _figure(
            folder,
            suspect.entry,
            f"labelled <b>{_text(suspect.entry.label)}</b> ({suspect.given:.1%})<br>rather "
            f"<b>{_text(suspect.verdict)}</b>",
        )
        for suspect in suspects[:top]
    ]
    shown = f", the first {top} shown" if len(suspects) > top else ""
    return (
        f"<h2>{title}: {len(suspects)}{shown}</h2>\n<p>{text}</p>\n"
        f'<div class="row">\n{"".join(figures) or "<p>None.</p>"}</div>'
    )


def _duplicates(folder: Path, manifest: Manifest) -> str:
    entries = {entry.source: entry for entry in manifest.pictures}
    groups = sorted(manifest.duplicates, key=lambda group: group not in manifest.conflicts)
    rows = [
        '<div class="row group">\n' + "".join(_copy(folder, entries.get(source), source) for source in group) + "</div>"
        for group in groups
    ]
    return f"<h2>Duplicates: {len(groups)} groups, {len(manifest.conflicts)} with different labels</h2>\n" + (
        f"<p>{DUPLICATES}</p>\n" + "\n".join(rows) if rows else "<p>None.</p>"
    )


def _copy(folder: Path, entry: Entry | None, source: str) -> str:
    """Show one of several copies. One that was left out, because it repeats a test picture, has no file to show."""
    if entry is None:
        return f"<figure><figcaption>{_text(source)}<br>left out</figcaption></figure>\n"
    return _figure(folder, entry, f"<b>{_text(entry.label)}</b>")


def _rejected(manifest: Manifest) -> str:
    return f"<h2>Rejected: {len(manifest.rejected)}</h2>\n" + (
        _table((each.source, each.reason) for each in manifest.rejected) if manifest.rejected else "<p>None.</p>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "\n".join(f"<tr><td>{_text(name)}</td><td>{_text(reason)}</td></tr>" for name, reason in rows)
    return f"<table>\n{lines}\n</table>"


def _figure(folder: Path, entry: Entry, caption: str) -> str:
    picture = decode((folder / entry.path).read_bytes())
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    encoded = base64.b64encode(data.getvalue()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{encoded}" alt=""><figcaption>{caption}<br>'
        f'<span class="path">{_text(entry.path)}</span></figcaption></figure>\n'
    )


def _text(text: str) -> str:
    return escape(printable(text))
