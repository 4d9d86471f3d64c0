"""What the documents quote stands in the code, and what they link to is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAMS = "fetch|split|train|evaluate|predict|demo"
QUOTED = re.compile(rf"^    ((?:{PROGRAMS}): .*)$", re.M)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LITTLE = 8  # letters; shorter fixed parts are found anywhere


def fixed_parts() -> list[re.Pattern[str]]:
    """Every text of the code as a pattern: what is put into it at run time may be anything."""
    patterns = []
    for file in [*ROOT.glob("stages/*.py"), *ROOT.glob("smallvision/**/*.py")]:
        inside = set()  # an f-string's own parts, which come after it
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts: list[str | None] = []
            if isinstance(node, ast.JoinedStr):
                inside |= set(node.values)
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
                parts = [node.value]
            if max((len(part) for part in parts if part), default=0) < LITTLE:
                continue
            pattern = "".join(".*" if part is None else re.escape(part) for part in parts)
            # A single word is in many sentences; it must be all that is said.
            is_word = not any(part and " " in part.strip() for part in parts)
            patterns.append(re.compile(f": {pattern}$" if is_word else pattern))
    return patterns


def is_said(message: str, patterns: list[re.Pattern[str]]) -> bool:
    return any(pattern.search(message) for pattern in patterns)


@pytest.fixture(scope="module")
def patterns() -> list[re.Pattern[str]]:
    return fixed_parts()


@pytest.mark.parametrize("name", ["troubleshooting.md", "howto.md"])
def test_every_quoted_message_is_one_of_the_codes(patterns, name):
    messages = QUOTED.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))
    assert len(messages) >= 4
    assert [message for message in messages if not is_said(message, patterns)] == []


def test_a_message_that_has_changed_is_found_out(patterns):
    assert is_said("params.yaml: lr: expected a valid number, received 'abc'", patterns)
    assert not is_said("params.yaml: lr: a valid number was expected, not 'abc'", patterns)
    assert not is_said("m.keras: not found; `dvc repro training` makes it", patterns)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    text = re.sub(r"^    .*$|^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], target
