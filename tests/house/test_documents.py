"""What the documents quote stands in the code, and what they name or link to is there."""

import ast
import re
from pathlib import Path

import pytest

from smallvision.__main__ import COMMANDS, GROUPS
from tests.conftest import ROOT

PROGRAMS = "|".join([*(path.stem for path in ROOT.glob("stages/*.py")), *COMMANDS, "smallvision"])
QUOTED = re.compile(rf"^    ((?:{PROGRAMS}): .*)$", re.M)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in [*DOCUMENTS, ROOT / "params.yaml"]}
ALL = "\n".join(TEXTS.values())
LITTLE = 8  # letters
GAP = "\0"  # stands for what is put into a text at run time


def fixed_parts() -> list[re.Pattern[str]]:
    """Return every line of text in the code as a pattern; anything may stand for what is put in at run time."""
    patterns = []
    for file in [*ROOT.glob("stages/*.py"), *ROOT.glob("smallvision/**/*.py")]:
        inside = set()  # the parts of f-strings, which `walk` yields after the f-string itself
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                inside |= set(node.values)
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
                parts = [node.value]
            else:
                continue
            patterns += [pattern_of(line.split(GAP)) for line in "".join(parts).splitlines()]
    return [pattern for pattern in patterns if pattern]


def pattern_of(parts: list[str]) -> re.Pattern[str] | None:
    """Return a pattern of the fixed parts of a line, or None if they are so short that they are found anywhere."""
    if max(map(len, parts)) < LITTLE:
        return None
    pattern = ".*".join(map(re.escape, parts))
    # A single word stands in many sentences, so it must be the whole message.
    is_word = not any(" " in part.strip() for part in parts)
    return re.compile(f": {pattern}$" if is_word else pattern)


def is_said(message: str, patterns: list[re.Pattern[str]]) -> bool:
    return any(pattern.search(message) for pattern in patterns)


@pytest.fixture(scope="module")
def patterns() -> list[re.Pattern[str]]:
    return fixed_parts()


@pytest.mark.parametrize(("name", "least"), [("troubleshooting.md", 30), ("howto.md", 8)])
def test_every_quoted_message_is_one_of_the_codes(patterns, name, least):
    messages = QUOTED.findall(TEXTS[name])
    assert len(messages) >= least
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


def files_named(text: str) -> list[str]:
    """Return the Python files that a text names, with or without their folders."""
    return [name.removeprefix("../") for name in re.findall(r"(?<![\w./])[\w./]+\.py\b", text)]


def is_there(name: str) -> bool:
    if "/" in name:
        return (ROOT / name).is_file()
    return any(next((ROOT / folder).rglob(name), None) for folder in ("smallvision", "stages", "tests"))


@pytest.mark.parametrize("document", TEXTS)
def test_files_that_are_named_are_there(document):
    assert [name for name in files_named(TEXTS[document]) if not is_there(name)] == []


def test_a_file_that_has_moved_is_found_out():
    named = files_named("`smallvision/convnet.py`, (../smallvision/models/convnet.py), test_nothing.py, test_size.py")
    assert [is_there(name) for name in named] == [False, True, False, True]


def test_names_are_in_the_file_that_is_said():
    found = re.findall(r"`(\w+)`(?: and `(\w+)`)?\s+in\s+`(\w+/[\w/]+\.py)`", ALL)
    assert len(found) >= 4
    for *names, file in found:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert all(re.search(rf"\b{name}\b", text) for name in names if name), (names, file)


def commands_named(text: str) -> list[str]:
    """Return the words that follow `smallvision` in code, on lines with four spaces and between backticks."""
    return re.findall(r"(?:^ {4}smallvision +|`smallvision\s+)([a-z]\w*)", text, re.M)


def test_commands_that_are_named_are_there():
    assert set(commands_named(ALL)) | {"demo"} == set(COMMANDS)  # `make demo` installs the page and starts it
    assert commands_named("    smallvision predit x\n`smallvision exprt`") == ["predit", "exprt"]
    assert not re.search(r"-m smallvision\.", ALL)


def test_modules_that_are_to_be_run_are_there():
    modules = {name for name in re.findall(r"python -m ([\w.]+)", ALL) if name.split(".")[0] != "zipfile"}
    assert len(modules) >= 5
    for name in modules:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name


def test_the_readme_shows_every_command_and_their_groups():
    readme = TEXTS["README.md"]
    assert [name for name in COMMANDS if f"smallvision {name}" not in readme and f"make {name}" not in readme] == []
    assert f"in groups: {', '.join(GROUPS)}\n" in readme


def test_tests_that_are_to_be_selected_are_there():
    for file, word in re.findall(r"(tests/\S+\.py)[^`\n]* -k (\w+)", ALL):
        assert re.search(rf"^def test_\w*{word}", (ROOT / file).read_text(encoding="utf-8"), re.M), word
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name in set(re.findall(r"\bSMALLVISION_\w+", ALL)) if not re.search(rf"\b{name}\b", code)] == []


def test_the_spine_is_as_long_as_it_says():
    section = re.search(r"^## The spine\n(.*?)^## ", TEXTS["CONTRIBUTING.md"], re.M | re.S)[1]
    files = files_named(section)
    count, lines = re.search(r"These (\d+) files, about ([\d,]+) lines", section).groups()
    assert len(files) == len(set(files)) == int(count)
    length = sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert abs(length - int(lines.replace(",", ""))) <= 50
