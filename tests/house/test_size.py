"""Files and functions stay small enough to be read."""

import ast

import pytest

from tests.conftest import ROOT

LINES, FUNCTION_LINES, ARGUMENTS = 250, 50, 7
FOLDERS = ("smallvision", "stages", "tests", "benchmarks", "docs")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions_of(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_short(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    named = function.args
    count = len([*named.posonlyargs, *named.args, *named.kwonlyargs])
    return function.end_lineno - function.lineno < FUNCTION_LINES and count <= ARGUMENTS


def test_no_file_is_long():
    assert [str(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > LINES] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_long_or_takes_many_arguments(folder):
    found = [(path, function) for path in FILES if path.is_relative_to(ROOT / folder)
             for function in functions_of(path.read_text(encoding="utf-8"))]  # fmt: skip
    assert len(found) >= 4
    assert [f"{path}: {function.name}" for path, function in found if not is_short(function)] == []


def test_the_rule_finds_what_is_too_long():
    (short, long, wide) = functions_of(
        "def a(): pass\n" + "def b():\n" + "    x = 1\n" * FUNCTION_LINES + "def c(a, b, c, d, e, f, g, *, h): pass\n"
    )
    assert (is_short(short), is_short(long), is_short(wide)) == (True, False, False)
