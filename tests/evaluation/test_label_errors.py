"""Pictures with a wrong label are found, and the others are not suspected."""

import numpy as np
import pytest

from smallvision.data.pictures.manifest import Entry
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.label_errors import Suspect, cross_validate
from smallvision.evaluation.scores import rank_mistakes


@pytest.mark.parametrize("classes", [2, 4])
def test_cross_validation_finds_swapped_labels(classes):
    rng = np.random.default_rng(5)
    truth = np.arange(120) % classes
    features = rng.normal(size=(120, 30)) + 5 * np.eye(30)[truth]
    swapped = [3, 50, 77, 101]
    labels = truth.copy()
    labels[swapped] = (labels[swapped] + 1) % classes
    answers = Answers(labels, cross_validate(features, labels), list("abcd")[:classes])
    assert sorted(rank_mistakes(answers)[:4]) == swapped


def test_a_suspect_says_its_label_and_what_it_shows_rather():
    entry = Entry("train", "cat", "1.jpg", "cat/1.jpg", "", "JPEG")
    assert str(Suspect(entry, 0.031, "dog", 0.969)) == "train/cat/1.jpg: labelled cat (3.1%), rather dog (96.9%)"
