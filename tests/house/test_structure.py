"""dvc.yaml agrees with the code: rooms, parameters, commands, outputs."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from smallvision.core.params import Params
from tests.conftest import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
DEAR = ("fetch", "train")  # an edit that changes nothing for them must not run them again


def module_file(name: str) -> Path | None:
    path = ROOT / name.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def local_imports(file: Path) -> set[Path]:
    """The project's own files that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {found for name in names if (found := module_file(name))}


def import_closure(file: Path) -> set[Path]:
    """The files that a file needs. Of a package's `__init__.py` nothing is needed: each holds one docstring."""
    closure, todo = set(), [file]
    while todo:
        current = todo.pop()
        if current not in closure and current.name != "__init__.py":
            closure.add(current)
            todo += local_imports(current)
    return closure


def flat(entries: list) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outputs(stage: dict) -> list[str]:
    return flat([*stage.get("outs", []), *stage.get("metrics", [])])


def code_deps(name: str) -> list[Path]:
    return [ROOT / dep for dep in STAGES[name]["deps"] if dep.startswith(("smallvision", "stages"))]


def files_of(dep: Path) -> set[Path]:
    return {path for path in dep.rglob("*.py") if path.name != "__init__.py"} if dep.is_dir() else {dep}


def test_a_package_holds_one_docstring_and_nothing_else():
    files = sorted((ROOT / "smallvision").rglob("__init__.py"))
    assert len(files) >= 12
    for file in files:
        (docstring,) = ast.parse(file.read_text(encoding="utf-8")).body
        assert isinstance(docstring.value.value, str), file


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_rooms(name):
    closure, rooms = import_closure(ROOT / f"stages/{name}.py"), code_deps(name)
    declared = set().union(*map(files_of, rooms))
    assert closure <= declared
    assert [room for room in rooms if not files_of(room) & closure] == []
    if name in DEAR:
        assert closure == declared


def test_a_stage_lists_few_rooms():
    assert sum(dep.startswith("smallvision") for stage in STAGES.values() for dep in stage["deps"]) <= 16


@pytest.mark.parametrize("name", STAGES)
def test_declared_parameters_are_those_read(name):
    stage = ROOT / f"stages/{name}.py"
    trees = [parse(path) for path in import_closure(stage)]
    read = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    read = {"recipes.${recipe}" if key == "recipes" else key for key in read}
    assert set(STAGES[name].get("params", [])) == read
    docstring = ast.get_docstring(ast.parse(stage.read_text(encoding="utf-8")))
    assert all(f"`{key}`" in docstring for key in read - {"recipes.${recipe}"})


def test_every_parameter_is_read_by_a_stage():
    declared = {key.split(".")[0] for stage in STAGES.values() for key in stage.get("params", [])}
    assert declared == set(Params.model_fields)


def test_data_dependencies_are_outputs_of_an_earlier_stage():
    made: set[str] = set()
    for name, stage in STAGES.items():
        assert {dep for dep in stage["deps"] if ROOT / dep not in code_deps(name)} <= made
        made |= set(outputs(stage))


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_reads_and_writes_stands_on_its_command_line(name):
    command = STAGES[name]["cmd"].split()
    assert command[:3] == ["python", "-m", f"stages.{name}"]
    data = [dep for dep in STAGES[name]["deps"] if ROOT / dep not in code_deps(name)]
    for path in [*data, *outputs(STAGES[name])]:
        assert any(path == word or path.startswith(f"{word}/") for word in command[3:]), path


def test_a_stage_writes_nowhere_but_where_its_command_line_says():
    """Nothing that a stage imports names a folder of the project itself."""
    for name in STAGES:
        for file in import_closure(ROOT / f"stages/{name}.py"):
            paths = re.findall(r"""Path\(["'](?:data|metrics)\b.*?\)""", file.read_text(encoding="utf-8"))
            assert paths == [], file


def test_a_stage_is_short():
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "stages").glob("*.py")) < 60


def test_stages_are_the_files_in_stages():
    assert sorted(STAGES) == sorted(path.stem for path in (ROOT / "stages").glob("*.py"))


def test_git_ignores_what_dvc_keeps_and_nothing_else():
    outs = [out for stage in STAGES.values() for out in [*stage.get("outs", []), *stage.get("metrics", [])]]
    cached = [out for out in outs if isinstance(out, str)]
    committed = flat([out for out in outs if not isinstance(out, str)])
    result = subprocess.run(
        ["git", "check-ignore", "--no-index", *cached, *committed], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == cached
