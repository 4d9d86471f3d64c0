"""`python -m benchmarks`: how fast we are, beside others, on this machine and in one run.

Contenders run by turns, each in a process of its own, and medians count: machines are noisy, so only
ratios of one run say anything. It prints a table and writes it as JSON.
"""

import argparse
import json
import os
import platform
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import yaml

from benchmarks.pictures import write_pictures
from benchmarks.processes import EVALUATE, PYTHON, ROOT, TRAIN, Table, run, run_by_turns
from smallvision.core.params_file import read_params

RECIPES = ("baseline", "augmented")  # of the project's own params.yaml


@dataclass(frozen=True)
class Setting:
    """Where and how much is measured.

    Attributes:
        folder: holds the folders `200` and `500`, with pictures of 200x200 and 500x375, and `few`, with few pictures.
        rounds: how often each comparison of processes is repeated.
        torch: an interpreter with PyTorch, to compare with.
        per_subset: validation pictures, and test pictures.
        small: whether few pictures are enough, to see that everything runs.
    """

    folder: Path
    rounds: int
    torch: str | None
    per_subset: int
    small: bool

    @property
    def home(self) -> Path:
        """The folder of the pictures of 200x200, where most is measured."""
        return self.folder / "200"


def write_params(folder: Path, recipe: str, epochs: int) -> None:
    """Write the params.yaml of a run: the project's own, with another recipe and number of epochs."""
    params = read_params(ROOT / "params.yaml").model_dump(exclude_unset=True)
    params["recipe"] = recipe
    params["recipes"][recipe]["epochs"] = epochs
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def measure_epochs(table: Table, setting: Setting) -> None:
    """Time second epochs. In the first one, ours decodes and compiles."""
    for recipe in RECIPES:
        write_params(setting.home, recipe, 2)
        commands: dict[str, Sequence[str]] = {
            "ours": TRAIN,
            "the book's": (PYTHON, "-m", "benchmarks.book", "pictures", recipe, "2"),
        }
        if setting.torch and recipe == "baseline":
            script = str(ROOT / "benchmarks/pytorch.py")
            for precision in ("float32", "bfloat16"):
                commands[f"PyTorch {precision}"] = (setting.torch, script, "pictures", precision, "2")
        finished = run_by_turns(commands, setting.home, setting.rounds)
        seconds = {name: median(each.epochs()[-1] for each in runs) for name, runs in finished.items()}
        for name in list(commands)[1:]:
            table.add(f"{recipe} epoch", seconds["ours"], "s", name, seconds[name], smaller=True)
        if recipe == "baseline":
            for name, runs in finished.items():
                if rates := [float(rate) for each in runs for rate in re.findall(r"^step ([\d.]+)", each.output, re.M)]:
                    table.numbers[f"{name} step"] = median(rates)


def measure_kernel(name: str, folder: Path) -> dict[str, float]:
    """Run a part of `benchmarks.kernels`, whose last line is its result."""
    finished = run((PYTHON, "-m", "benchmarks.kernels", name, "pictures"), folder)
    rates: dict[str, float] = json.loads(finished.output.splitlines()[-1])
    return rates


def measure_step(table: Table, setting: Setting) -> None:
    """Time training steps beside PyTorch's, and beside the machine's own matrix products."""
    rates = measure_kernel("step", setting.home)
    for name in ("PyTorch float32", "PyTorch bfloat16"):
        if theirs := table.numbers.get(f"{name} step"):
            table.add("training step", rates["pictures per second"], "pictures/s", name, theirs)
    for kind in ("float32", "bfloat16"):
        billions = rates[f"{kind} matmul FLOP/s"] / 1e9
        table.add(
            f"training, {rates['precision']}", rates["training FLOP/s"] / 1e9, "GFLOP/s", f"{kind} matmul", billions
        )


def measure_decode(table: Table, setting: Setting) -> None:
    """Time the decoding of files."""
    for name, side in (("200", "200x200"), ("500", "500x375")):
        rates = measure_kernel("decode", setting.folder / name)
        table.add(f"decode {side}", rates["ours"], "pictures/s", "Pillow, one thread", rates["pillow"])


def measure_augment(table: Table, setting: Setting) -> None:
    """Time augmentation."""
    rates = measure_kernel("augment", setting.home)
    table.add("augment", rates["ours"], "pictures/s", "ImageDataGenerator", rates["ImageDataGenerator"])


def measure_infer(table: Table, setting: Setting) -> None:
    """Time a frozen base."""
    rates = measure_kernel("infer", setting.home)
    table.add("MobileNetV2, 224 pixels", rates["ours"], "pictures/s", "Keras' predict", rates["predict"])


def measure_predict(table: Table, setting: Setting) -> None:
    """Time one picture as a whole process beside Keras, then each format: size, latency, and files to answers."""
    pictures, model = "pictures", setting.home / "predict.keras"
    tool = (PYTHON, "-m", "benchmarks.deployment")
    run((*tool, "make", str(model)), setting.home)
    lite = str(model.with_name("predicted.tflite"))
    command = (PYTHON, "-m", "smallvision")
    run((*command, "export", "--model", str(model), "--format", "litert", lite), setting.home)
    picture = str(next((setting.home / pictures).rglob("*.jpg")))
    commands: dict[str, Sequence[str]] = {
        "ours": (*command, "predict", "--model", lite, picture),
        "Keras": (*tool, "one", str(model), pictures),
    }
    finished = run_by_turns(commands, setting.home, setting.rounds)
    ours, theirs = (median(each.seconds for each in runs) for runs in finished.values())
    table.add("predict 1 picture", ours, "s", "Keras", theirs, smaller=True)
    found = json.loads(run((*tool, "rates", str(model), pictures), setting.home).output.splitlines()[-1])
    many = found["pictures per second"]
    table.add("predict a folder", many["predict"], "pictures/s", "Keras' predict", many["keras"])
    for kind, milliseconds in found["ms"].items():
        table.add(f"{kind}, 1 picture", milliseconds, "ms", "Keras' predict", found["ms"]["keras"], smaller=True)
        table.add(f"{kind}, size", found["MB"][kind], "MB")


def measure_processes(table: Table, setting: Setting) -> None:
    """Time whole processes beside the import of TensorFlow: evaluation, and training up to its first steps."""
    write_params(setting.home, "baseline", 1)
    run(TRAIN, setting.home)
    alone = (PYTHON, "-c", "import tensorflow")
    few = setting.folder / "few"
    write_params(few, "baseline", 1)
    for what, command, where in (("evaluate 1,000 pictures", EVALUATE, setting.home), ("train 2 steps", TRAIN, few)):
        finished = run_by_turns({"ours": command, "import tensorflow": alone}, where, setting.rounds)
        ours, theirs = (median(each.seconds for each in runs) for runs in finished.values())
        table.add(what, ours, "s", "import tensorflow", theirs, smaller=True)


def measure_growth(table: Table, setting: Setting) -> None:
    """Time one epoch of `baseline` on more and more pictures of 500x375."""
    for count in (40, 80) if setting.small else (500, 2000, 8000, 24000):
        home = setting.folder / f"growth-{count}"
        home.mkdir()
        write_pictures(home / "pictures", {"train": count, "validation": setting.per_subset}, 500, 375)
        write_params(home, "baseline", 1)
        finished = run(TRAIN, home)
        table.add(f"train 1 epoch of {count:,} pictures", finished.seconds, "s")
        table.add(f"peak memory, {count:,} pictures", finished.mebibytes, "MiB")


PARTS = {
    "epochs": measure_epochs,
    "step": measure_step,
    "decode": measure_decode,
    "augment": measure_augment,
    "infer": measure_infer,
    "predict": measure_predict,
    "processes": measure_processes,
    "growth": measure_growth,
}


def describe_machine() -> dict[str, object]:
    """Return what the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.M) if cpuinfo.exists() else []
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison of processes (default: %(default)s)")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with PyTorch and Pillow, to compare with")
    parser.add_argument("--small", action="store_true", help="few pictures, to see that all of it runs")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results.json"), help="default: %(default)s")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(PARTS)):
        parser.error(f"no part {unknown[0]!r}; expected {', '.join(PARTS)}")
    per_subset = 40 if arguments.small else 1000
    if arguments.small:
        os.environ["BENCHMARK_ROUNDS"] = "1"  # for benchmarks.kernels, which runs in processes of its own
    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        setting = Setting(Path(temporary), arguments.rounds, arguments.torch, per_subset, arguments.small)
        for name, side, count in (
            ("200", (200, 200), per_subset),
            ("500", (500, 375), per_subset),
            ("few", (200, 200), 40),
        ):
            counts = {"train": 2 * count if name == "200" else 40, "validation": count, "test": count}
            write_pictures(setting.folder / name / "pictures", counts, *side)
        for name, measure in PARTS.items():
            if name in (arguments.parts or PARTS):
                measure(table, setting)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": describe_machine(), "rounds": arguments.rounds, "results": table.numbers}
    arguments.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
