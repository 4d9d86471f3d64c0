"""Answers to score."""

import numpy as np

from smallvision.evaluation.answers import Answers


def make_answers(count: int, classes: int, seed: int = 0) -> Answers:
    """Labels, in which every class occurs, and probabilities that are right more often than not."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    logits = rng.normal(0, 1, (count, classes))
    logits[np.arange(count), labels] += 2
    rows = np.exp(logits)
    return Answers(labels, rows / rows.sum(axis=1, keepdims=True), [f"class {index}" for index in range(classes)])
