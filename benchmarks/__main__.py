"""`python -m benchmarks`: how fast we are, beside others, on this machine and in one run.

Contenders run by turns, each in a process of its own, and medians count: machines are noisy, so only
ratios of one run say anything. Prints a table and writes it as JSON.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

import yaml

from benchmarks.pictures import write_pictures
from smallvision.core.params_file import read_params

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
PARTS = ("epochs", "step", "decode", "augment", "infer", "predict", "processes", "growth")
RECIPES = ("baseline", "augmented")  # of the project's own params.yaml


@dataclass(frozen=True)
class Finished:
    """A process that ended well: its output, how long it took, and its largest resident memory."""

    output: str
    seconds: float
    mebibytes: float

    def epochs(self) -> list[float]:
        """The seconds of each epoch, as printed."""
        return [float(match) for match in re.findall(r"^epoch .*?  ([\d.]+) s", self.output, re.M)]


@dataclass
class Table:
    """What was measured, printed row by row."""

    numbers: dict[str, object] = field(default_factory=dict)

    def add(
        self, what: str, ours: float, unit: str, name: str = "", theirs: float = 0, *, smaller: bool = False
    ) -> None:
        """Add a row and print it; `smaller`: the smaller is the faster."""
        ratio = (theirs / ours if smaller else ours / theirs) if theirs else 0
        left = f"{ours:,.4g} {unit}" if ours < 100 else f"{ours:,.0f} {unit}"
        right = f"  {name} {theirs:,.4g}".ljust(28) + f"{ratio:.2f}" if theirs else ""
        print(f"{what:34} {left:>16}{right}", flush=True)
        self.numbers[f"{what}{' / ' + name if name else ''}"] = {"ours": ours, "theirs": theirs or None, "unit": unit}


def run(command: Sequence[str], folder: Path) -> Finished:
    """Run a command in `folder` to its end.

    Raises:
        subprocess.CalledProcessError: it failed; what it wrote is on stderr.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.stderr.write(text)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Finished(text, seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))


def by_turns(commands: Mapping[str, Sequence[str]], folder: Path, rounds: int) -> dict[str, list[Finished]]:
    """Run each command in turn, `rounds` times."""
    finished: dict[str, list[Finished]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            finished[name].append(run(command, folder))
    return finished


def write_params(folder: Path, recipe: str, epochs: int) -> None:
    """Write the params.yaml of a run: the project's own, but for the recipe and its epochs."""
    params = read_params(ROOT / "params.yaml").model_dump(exclude_unset=True)
    params["recipe"] = recipe
    params["recipes"][recipe]["epochs"] = epochs
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


TRAIN = (PYTHON, "-m", "stages.train", "pictures", "model.keras", "train.json", "history.csv")
EVALUATE = (PYTHON, "-m", "stages.evaluate", "model.keras", "train.json", "pictures", "test.json", "plots")


def measure_epochs(table: Table, folder: Path, rounds: int, torch: str | None) -> None:
    """Second epochs: in the first, ours decodes and compiles."""
    for recipe in RECIPES:
        write_params(folder, recipe, 2)
        commands = {"ours": TRAIN, "the book's": (PYTHON, "-m", "benchmarks.book", "pictures", recipe, "2")}
        if torch and recipe == "baseline":
            for precision in ("float32", "bfloat16"):
                commands[f"PyTorch {precision}"] = (
                    torch,
                    str(ROOT / "benchmarks/pytorch.py"),
                    "pictures",
                    precision,
                    "2",
                )
        finished = by_turns(commands, folder, rounds)
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


def measure_step(table: Table, folder: Path) -> None:
    """Training steps beside PyTorch's, and beside the machine's own matrix products."""
    rates = measure_kernel("step", folder)
    for name in ("PyTorch float32", "PyTorch bfloat16"):
        if theirs := table.numbers.get(f"{name} step"):
            table.add("training step", rates["pictures per second"], "pictures/s", name, theirs)
    for kind in ("float32", "bfloat16"):
        billions = rates[f"{kind} matmul FLOP/s"] / 1e9
        table.add(
            f"training, {rates['precision']}", rates["training FLOP/s"] / 1e9, "GFLOP/s", f"{kind} matmul", billions
        )


def measure_predict(table: Table, folder: Path, rounds: int) -> None:
    """One picture as a whole process beside Keras, then each format: size, latency, and files to answers."""
    pictures, model = "pictures", folder / "predict.keras"
    tool = (PYTHON, "-m", "benchmarks.deployment")
    run((*tool, "make", str(model)), folder)
    lite = str(model.with_name("predicted.tflite"))
    run((PYTHON, "-m", "smallvision.export", "--model", str(model), "--format", "litert", lite), folder)
    picture = str(next((folder / pictures).rglob("*.jpg")))
    commands = {
        "ours": (PYTHON, "-m", "smallvision.predict", "--model", lite, picture),
        "Keras": (*tool, "one", str(model), pictures),
    }
    finished = by_turns(commands, folder, rounds)
    ours, theirs = (median(each.seconds for each in runs) for runs in finished.values())
    table.add("predict 1 picture", ours, "s", "Keras", theirs, smaller=True)
    found = json.loads(run((*tool, "rates", str(model), pictures), folder).output.splitlines()[-1])
    many = found["pictures per second"]
    table.add("predict a folder", many["predict"], "pictures/s", "Keras' predict", many["keras"])
    for kind, milliseconds in found["ms"].items():
        table.add(f"{kind}, 1 picture", milliseconds, "ms", "Keras' predict", found["ms"]["keras"], smaller=True)
        table.add(f"{kind}, size", found["MB"][kind], "MB")


def measure_processes(table: Table, folder: Path, rounds: int) -> None:
    """Whole processes beside the import of TensorFlow: evaluation, and training up to its first steps."""
    write_params(folder, "baseline", 1)
    run(TRAIN, folder)
    alone = (PYTHON, "-c", "import tensorflow")
    few = folder.parent / "few"
    write_params(few, "baseline", 1)
    for what, command, where in (("evaluate 1,000 pictures", EVALUATE, folder), ("train 2 steps", TRAIN, few)):
        finished = by_turns({"ours": command, "import tensorflow": alone}, where, rounds)
        ours, theirs = (median(each.seconds for each in runs) for runs in finished.values())
        table.add(what, ours, "s", "import tensorflow", theirs, smaller=True)


def measure_growth(table: Table, folder: Path, counts: Sequence[int], validation: int) -> None:
    """One epoch of `baseline` on more and more pictures of 500x375."""
    for count in counts:
        home = folder / f"growth-{count}"
        home.mkdir()
        write_pictures(home / "pictures", {"train": count, "validation": validation}, 500, 375)
        write_params(home, "baseline", 1)
        finished = run(TRAIN, home)
        table.add(f"train 1 epoch of {count:,} pictures", finished.seconds, "s")
        table.add(f"peak memory, {count:,} pictures", finished.mebibytes, "MiB")


def describe_machine() -> dict[str, object]:
    """What the figures depend on."""
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
    parts = arguments.parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no part {unknown[0]!r}; expected {', '.join(PARTS)}")
    per_subset = 40 if arguments.small else 1000
    if arguments.small:
        os.environ["BENCHMARK_ROUNDS"] = "1"  # for benchmarks.kernels, in processes of its own
    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, side, count in (
            ("200", (200, 200), per_subset),
            ("500", (500, 375), per_subset),
            ("few", (200, 200), 40),
        ):
            counts = {"train": 2 * count if name == "200" else 40, "validation": count, "test": count}
            write_pictures(folder / name / "pictures", counts, *side)
        home = folder / "200"
        if "epochs" in parts:
            measure_epochs(table, home, arguments.rounds, arguments.torch)
        if "step" in parts:
            measure_step(table, home)
        if "decode" in parts:
            for name, side in (("200", "200x200"), ("500", "500x375")):
                rates = measure_kernel("decode", folder / name)
                table.add(f"decode {side}", rates["ours"], "pictures/s", "Pillow, one thread", rates["pillow"])
        if "augment" in parts:
            rates = measure_kernel("augment", home)
            table.add("augment", rates["ours"], "pictures/s", "ImageDataGenerator", rates["ImageDataGenerator"])
        if "infer" in parts:
            rates = measure_kernel("infer", home)
            table.add("MobileNetV2, 224 pixels", rates["ours"], "pictures/s", "Keras' predict", rates["predict"])
        if "predict" in parts:
            measure_predict(table, home, arguments.rounds)
        if "processes" in parts:
            measure_processes(table, home, arguments.rounds)
        if "growth" in parts:
            measure_growth(table, folder, (40, 80) if arguments.small else (500, 2000, 8000, 24000), per_subset)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": describe_machine(), "rounds": arguments.rounds, "results": table.numbers}
    arguments.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
