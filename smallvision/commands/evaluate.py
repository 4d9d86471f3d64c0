"""`smallvision evaluate PICTURES`: how good the trained model is on other labelled pictures, in any layout.

It runs the network that `train` converted for LiteRT, without TensorFlow.
"""

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from smallvision.commands.known_labels import read_known
from smallvision.commands.source_summary import count_subsets, find_source, say_left_out, say_reader, wrap
from smallvision.core.errors import InputError, ParameterError, listed, printable, shorten
from smallvision.core.files import locked, sha256_of, write_csv
from smallvision.core.process import check_stopped
from smallvision.data.layouts.rows import Reading, Row
from smallvision.data.pictures.decoding import to_checked_input
from smallvision.data.pictures.manifest import SUBSETS, read_manifest
from smallvision.data.sources.files import SourceFiles, open_files
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.evaluate import SHOWN_CLASSES, prediction_table
from smallvision.evaluation.gallery import MISTAKES, draw_mistakes
from smallvision.evaluation.intervals import wilson
from smallvision.evaluation.scores import RecallRow, confused_pairs, rank_mistakes, recall_rows
from smallvision.models.facts import ModelFacts
from smallvision.models.litert import read_litert
from smallvision.models.litert_network import Network
from smallvision.serving.prediction import AHEAD, BATCH

SHOWN_PAIRS = 5


@dataclass(frozen=True)
class Scored:
    """What a model said about pictures.

    Attributes:
        answers: the answers about those that could be read.
        pictures: their paths and their SHA-256, in the same order.
        bad: what is wrong with each of the others, by its path.
    """

    answers: Answers
    pictures: Sequence[tuple[str, str]]
    bad: dict[str, str]


def answer(network: Network, facts: ModelFacts, files: SourceFiles, rows: Sequence[Row]) -> Scored:
    """Have a network answer labelled pictures.

    Args:
        network: the network, which gives probabilities.
        facts: the facts about it.
        files: the open source.
        rows: the pictures, with labels that the model knows.

    Raises:
        InputError: none of the pictures can be read.
    """
    bad: dict[str, str] = {}

    def load(row: Row) -> tuple[Row, str, np.ndarray] | None:
        try:
            data = files.read(row.path)
            return row, hashlib.sha256(data).hexdigest(), to_checked_input(data, facts.image_size)
        except InputError as error:
            bad[row.path] = str(error)
            return None

    cv2.setNumThreads(1)  # the threads below work on one picture each
    good: list[tuple[Row, str]] = []
    outputs = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(rows), AHEAD):
            loaded = [each for each in threads.map(load, rows[start : start + AHEAD]) if each]
            good += [(row, sha256) for row, sha256, _ in loaded]
            for place in range(0, len(loaded), BATCH):
                check_stopped()
                batch = np.stack([picture for _, _, picture in loaded[place : place + BATCH]])
                outputs.append(network.probabilities(batch))
    if not good:
        path, reason = next(iter(bad.items()))
        raise InputError(f"{files.name}: none of {len(bad)} pictures can be read: {path}: {reason}")
    labels = np.array([facts.classes.index(str(row.label)) for row, _ in good])
    pictures = [(row.path, sha256) for row, sha256 in good]
    return Scored(Answers(labels, np.concatenate(outputs), facts.classes), pictures, bad)


def say_trained_on(pictures: Sequence[tuple[str, str]], facts: ModelFacts, manifest: Path) -> list[str]:
    """Say how many of the pictures the model was trained on or chosen by, if the manifest of its split is there."""
    if not manifest.is_file() or sha256_of(manifest) != facts.pictures:
        return []
    try:
        entries = read_manifest(manifest).pictures
    except InputError as error:
        return [f"whether the model was trained on these pictures is unknown: {error}"]
    seen = {entry.sha256 for entry in entries if entry.subset != "test"}
    count = sum(sha256 in seen for _, sha256 in pictures)
    return (
        [f"the model was trained on {count} of these pictures, or chosen by them: too good to be true"] if count else []
    )


def write_answers(folder: Path, scored: Scored, files: SourceFiles, facts: ModelFacts) -> None:
    """Write the answers, the recall of each class, and a sheet of the worst mistakes.

    Args:
        folder: where to write `predictions.csv`, `classes.csv` and `mistakes.png`.
        scored: the answers.
        files: the open source.
        facts: the facts about the model.
    """
    worst = rank_mistakes(scored.answers)[:MISTAKES]
    names = [scored.pictures[index][0] for index in worst]
    size = facts.image_size
    shown = np.array([to_checked_input(files.read(name), size) for name in names], np.uint8)
    with locked(folder / "predictions.csv"):
        write_csv(folder / "predictions.csv", *prediction_table(scored.pictures, scored.answers))
        rows = [(name, n, *(round(share, 4) for share in shares)) for name, n, *shares in recall_rows(scored.answers)]
        write_csv(folder / "classes.csv", ["class", *RecallRow._fields[1:]], rows)
        draw_mistakes(folder / "mistakes.png", scored.answers.select(worst), names, shown.reshape(-1, size, size, 3))


def table_of_recalls(answers: Answers) -> list[str]:
    """Return a header and a row for each class; of many classes, for those with the lowest recall."""
    rows = recall_rows(answers)
    shown = sorted(rows, key=lambda row: row.recall)[:SHOWN_CLASSES] if len(rows) > SHOWN_CLASSES else rows
    lines = [f"{'class':28} {'pictures':>8} {'recall':>8}   95% interval"]
    for row in shown:
        interval = f"{row.low:.1%} to {row.high:.1%}"
        lines.append(f"{shorten(row.name, 28):28} {row.pictures:8} {row.recall:8.1%}   {interval}")
    if len(rows) > len(shown):
        lines.append(f"the {len(shown)} of {len(rows)} classes with the lowest recall")
    return lines


def say_pictures(reading: Reading, unknown: Mapping[str, int], scored: Scored, classes: Sequence[str]) -> list[str]:
    """Say what the accuracy is about, and which pictures it is not about."""
    lines = []
    counts = count_subsets(reading)
    if given := [f"{subset} {counts[subset]}" for subset in SUBSETS if subset in counts]:
        lines.append(f"subsets play no role here: {', '.join(given)}")
    if unknown:
        names = listed(f"{label} {count}" for label, count in unknown.items())
        lines.append(f"left out, of classes that the model does not know: {sum(unknown.values())} ({names})")
    if scored.bad:
        path, reason = next(iter(scored.bad.items()))
        lines.append(f"left out, cannot be read: {len(scored.bad)}: {path}: {reason}")
    if missing := {*classes} - {classes[label] for label in np.unique(scored.answers.labels)}:
        lines.append(f"no pictures of {listed(missing)}, which the model knows")
    return lines


def summarise(name: str, facts: ModelFacts, answers: Answers) -> str:
    """Return the line that says how good the model is, what it was trained on, and on which pictures it was right."""
    right, count = int(answers.is_right.sum()), len(answers.labels)
    low, high = wilson(right, count)
    return (
        f"{facts.recipe} trained on {facts.source}, on {name}: accuracy {right / count:.1%} ({low:.1%} to {high:.1%} "
        f"at 95%) of {count} pictures"
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="smallvision evaluate", description="How good is the model on other pictures?"
    )
    parser.add_argument("pictures", metavar="PICTURES", help="a folder or a zip archive of labelled pictures")
    parser.add_argument("--labels", default="auto", help="auto, top, parent, name, a table or table:column")
    parser.add_argument("--model", type=Path, default=Path("data/models/model.tflite"), help="default: %(default)s")
    parser.add_argument("--to", type=Path, default=Path("data/evaluation"), help="folder; default: %(default)s")
    chosen = parser.parse_args(arguments)
    network, facts = read_litert(chosen.model)
    if facts.features:
        raise ParameterError(f"{chosen.model}: gives features, no classes")
    with open_files(find_source(chosen.pictures)) as files:
        reading, rows, unknown = read_known(files, chosen.labels, facts.classes)
        scored = answer(network, facts, files, rows)
        write_answers(chosen.to, scored, files, facts)
        said = [f"{files.name}: {say_reader(reading)}", *say_left_out(files, reading)]
    said += [*files.notes, *reading.notes, *say_pictures(reading, unknown, scored, facts.classes)]
    lines = [line for text in said for line in wrap("evaluate", text)] + table_of_recalls(scored.answers)
    pairs = [f"{actual} taken for {other} {count}" for actual, other, count in confused_pairs(scored.answers)]
    said = [f"mistakes: {', '.join(pairs[:SHOWN_PAIRS])}"] if pairs else []
    said += say_trained_on(scored.pictures, facts, Path("data/pictures/manifest.json"))
    said.append(f"{chosen.to}: predictions.csv, classes.csv, mistakes.png")
    lines += [line for text in said for line in wrap("evaluate", text)]
    print("\n".join([*lines, printable(f"evaluate: {summarise(files.name, facts, scored.answers)}")]))
