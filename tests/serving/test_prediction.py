"""Answers come in order, while later pictures are still being read, and bad pictures are reported."""

import numpy as np

from smallvision.models.facts import ModelFacts
from smallvision.serving import prediction
from tests.conftest import jpeg

FACTS = ModelFacts("r", "s", "", ["ant", "bee", "cow"], 46, {}, "", "")


class Brightness:
    """A network in place of LiteRT's. The brighter a picture, the likelier it is a bee. It keeps the batches' sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        self.batches.append(len(pictures))
        bee = pictures.mean(axis=(1, 2, 3)) / 255
        return np.stack([0.3 * (1 - bee), bee, 0.7 * (1 - bee)], axis=1)


def test_answers_come_in_order_with_the_most_probable_class_first(tmp_path):
    for number in range(11):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    (tmp_path / "4.jpg").write_bytes(b"<html>")
    names = [str(tmp_path / f"{number}.jpg") for number in range(11)]
    network, failures = Brightness(), []
    found = list(prediction.predict(network, FACTS, names, lambda name, error: failures.append((name, str(error)))))
    assert [name for name, _ in found] == names[:4] + names[5:]
    assert failures == [(names[4], "no picture in a supported format (JPEG, PNG, GIF, WEBP, BMP)")]
    assert network.batches == [prediction.BATCH, 2]
    for _, row in found:
        assert {name for name, _ in row} == {"ant", "bee", "cow"}
        assert [probability for _, probability in row] == sorted((p for _, p in row), reverse=True)


def test_pictures_are_held_a_few_at_a_time(tmp_path):
    """Answers come while later pictures have not been read."""
    names = [str(tmp_path / f"{number}.jpg") for number in range(2 * prediction.AHEAD)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(jpeg(number % 5))
    network = Brightness()
    found = prediction.predict(network, FACTS, names, lambda *_: None)
    first = [next(found)[0]]
    (tmp_path / names[-1]).unlink()  # if it had been read already, it could not be missed
    failures = []
    rest = prediction.predict(network, FACTS, names, lambda name, error: failures.append(name))
    assert first + [name for name, _ in found] == names[:-1]
    assert [name for name, _ in rest] == names[:-1]
    assert failures == names[-1:]
