"""What is written twice must agree: dvc.yaml with the code, the README with the folder."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from smallvision.core.params import Params
from tests.conftest import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = PIPELINE["stages"]
BESIDE = ("model.json", "model.tflite", "README.md")
PINS = [ROOT / f"requirements{extra}.txt" for extra in ("", "-demo", "-s3", "-sweep")]


def module_file(name: str) -> Path | None:
    path = ROOT / name.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def local_imports(file: Path) -> set[Path]:
    """The project's own files that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    # Importing a.b.c runs a and a.b too.
    names |= {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}
    return {found for name in names if (found := module_file(name))}


def import_closure(file: Path) -> set[Path]:
    closure, todo = set(), [file]
    while todo:
        current = todo.pop()
        if current not in closure:
            closure.add(current)
            todo += local_imports(current)
    return closure


def flat(entries: list) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def outputs(stage: dict) -> list[str]:
    return flat([*stage.get("outs", []), *stage.get("metrics", [])])


@pytest.mark.parametrize("name", STAGES)
def test_declared_code_is_the_import_closure(name):
    closure = {path.relative_to(ROOT).as_posix() for path in import_closure(ROOT / f"stages/{name}.py")}
    assert {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")} == closure


@pytest.mark.parametrize("name", STAGES)
def test_declared_parameters_are_those_read(name):
    stage = ROOT / f"stages/{name}.py"
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in import_closure(stage) if path.name != "params.py"]
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
    for stage in STAGES.values():
        assert {dep for dep in stage["deps"] if not dep.endswith(".py")} <= made
        made |= set(outputs(stage))


@pytest.mark.parametrize("name", STAGES)
def test_the_command_names_its_files(name):
    command = STAGES[name]["cmd"].split()
    assert command[:3] == ["python", "-m", f"stages.{name}"]
    # The model's card and its other forms lie beside it.
    beside = {str(Path(word).with_name(other)) for word in command for other in BESIDE if word.endswith(".keras")}
    beside |= {str(Path(word).with_name("augmentation.png")) for word in command if word.endswith("history.csv")}
    for path in outputs(STAGES[name]):
        assert path in beside or any(path == word or path.startswith(f"{word}/") for word in command)


def test_a_stage_is_never_imported():
    files = [*(ROOT / "smallvision").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
    for file in files:
        assert not {path for path in local_imports(file) if path.parent.name == "stages"}, file


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


def test_the_readmes_tree_is_the_folder():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"^## What is where\n+```\n(.*?)```", text, re.M | re.S)[1]
    named, folder = set(), ""
    for line in tree.splitlines():
        indent, path = re.match(r"( *)(\S+)", line).groups()
        if not indent:
            folder = path if path.endswith("/") else ""
        named.add(path if not indent else folder + path)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    top = {path.split("/")[0] + ("/" if "/" in path else "") for path in tracked if path and not path.startswith(".")}
    inside = {
        path if path.count("/") == 1 else path[: path.rindex("/") + 1]
        for path in tracked
        if path.startswith(("stages/", "smallvision/")) and not path.endswith("__init__.py")
    }
    assert named == top | inside


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *(name for group in project["dependency-groups"].values() for name in group),
    ]
    decisions = (ROOT / "docs/decisions.md").read_text(encoding="utf-8").lower()
    pins = "\n".join(path.read_text(encoding="utf-8") for path in PINS)
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)[0]
        assert "<" in requirement, f"{name} has no upper bound"
        assert f"| `{name.lower()}` |" in decisions, f"{name} is not in docs/decisions.md"
        assert re.search(rf"^{name.replace('.', '-').lower()}==", pins, re.M), f"{name} is not pinned"


def test_pins_name_no_index():
    assert not [path for path in PINS if "://" in path.read_text(encoding="utf-8")]


def test_what_is_added_later_changes_no_version():
    def versions(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", path.read_text(encoding="utf-8"), re.M))

    ours, *additions = (versions(path) for path in PINS)
    for added, name in zip(additions, ("nicegui", "dvc-s3", "ray"), strict=True):
        assert added[name]
        assert {name: ours[name] for name in added.keys() & ours.keys()} == {
            name: added[name] for name in added.keys() & ours.keys()
        }
