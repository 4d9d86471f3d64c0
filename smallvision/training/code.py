"""What counts as the same code: the files that `dvc.yaml` names as dependencies of a stage.

Checkpoints, kept features and sweeps use the code of the train stage, learning curves that of all stages. So an edit of
the code makes their earlier results unusable if DVC runs the stage again because of it, and only then.
"""

import hashlib
from pathlib import Path

import ruamel.yaml

import smallvision

ROOT = Path(smallvision.__file__).parent.parent  # the folder of dvc.yaml


def code_paths(stage: str) -> list[str]:
    """Return the files and folders of code that a stage depends on, relative to the folder of `dvc.yaml`.

    These are its `deps` without the ones that a stage writes.
    """
    stages = ruamel.yaml.YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [entry for each in stages.values() for key in ("outs", "metrics", "plots") for entry in each.get(key, [])]
    written = {name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)}
    return [dep for dep in stages[stage]["deps"] if dep not in written]


def code_of(stage: str) -> str:
    """Return the SHA-256 of the names and contents of all Python files that a stage depends on."""
    digest = hashlib.sha256()
    for name in code_paths(stage):
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
