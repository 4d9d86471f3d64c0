"""Class weights: a mistake counts for more, the fewer pictures its class has."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallvision.core.params import Augment
from smallvision.training import fitting
from smallvision.training.batches import balanced_weights, weigher
from smallvision.training.fitting import fit
from tests.training.helpers import assert_equal, build_tiny, end_after, hooks_in, make_plan


def unbalanced(counts):
    """Noise of another brightness for each class, and its labels."""
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(3).integers(0, 90, (len(labels), 46, 46, 3))
    return (noise + labels[:, None, None, None] * (150 // (len(counts) - 1))).astype(np.uint8), labels


def test_balanced_weights_make_every_class_count_alike():
    labels = np.repeat([0, 1, 2], [30, 15, 5])
    weights = balanced_weights(labels)
    assert weights == pytest.approx({0: 50 / 90, 1: 50 / 45, 2: 50 / 15})
    assert sum(weights[label] for label in labels) == pytest.approx(len(labels))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_mixed_pictures_loss_is_the_mean_of_its_classes_weighted_losses(classes):
    rng = np.random.default_rng(4)
    weights = dict(enumerate(rng.uniform(0.2, 3, classes).tolist()))
    probabilities = rng.dirichlet(np.ones(classes), 20)
    shares = np.vstack([np.eye(classes), rng.dirichlet(np.ones(classes), 20 - classes)])
    expected = (-shares * np.log(probabilities) @ [weights[index] for index in range(classes)]).mean()
    # A network of two classes has one output unit, others have one for each class.
    loss = keras.losses.BinaryCrossentropy() if classes == 2 else keras.losses.CategoricalCrossentropy()
    given_labels = tf.constant(shares[:, 1:] if classes == 2 else shares, tf.float32)
    predicted = tf.constant(probabilities[:, 1:] if classes == 2 else probabilities, tf.float32)
    _, labels, weight = weigher(weights)(tf.zeros(20), given_labels)
    assert float(loss(labels, predicted, sample_weight=weight)) == pytest.approx(expected, rel=1e-4)


def train(counts=(16, 5, 3), folder=None, validation=None, **settings):
    plan = make_plan(**{"epochs": 2} | settings)
    build, validation = partial(build_tiny, len(counts), 0.5), validation or unbalanced([4] * len(counts))
    return fit(build, unbalanced(counts), validation, plan, hooks_in(folder))


def train_weighted(monkeypatch, weights, **settings):
    """Train with these weights in place of the balanced ones."""
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "balanced_weights", lambda labels: weights)
        return train(class_weights="balanced", **settings)


@pytest.mark.slow
def test_with_balanced_weights_the_validation_accuracy_is_the_balanced_one():
    from sklearn.metrics import balanced_accuracy_score  # imported here because it takes long

    counts = (20, 4)
    validation = unbalanced((10, 2))
    result = train(counts, validation=validation, class_weights="balanced", epochs=1)
    predicted = result.model.predict(validation[0] / np.float32(255), verbose=0)[:, 0] > 0.5
    assert result.history[0]["val_acc"] == pytest.approx(balanced_accuracy_score(validation[1], predicted), abs=1e-4)
    assert result.history[0]["val_acc"] != pytest.approx(np.mean(validation[1] == predicted), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(20, 4), (16, 5, 3)])
def test_weights_of_one_change_nothing_and_others_do(monkeypatch, counts):
    plain = train(counts)
    same = train_weighted(monkeypatch, dict.fromkeys(range(len(counts)), 1.0), counts=counts)
    other = train(counts, class_weights="balanced")
    assert [row["loss"] for row in plain.history] == pytest.approx([row["loss"] for row in same.history], rel=1e-5)
    assert plain.history[1]["val_loss"] != other.history[1]["val_loss"]


@pytest.mark.slow
def test_a_class_without_weight_is_not_learned(monkeypatch):
    """A training lowers the bias of the first class, which it would raise without class weights."""
    before = train(epochs=1, lr=1e-12).model.layers[-1].bias.numpy()
    after = train_weighted(monkeypatch, {0: 1e-12, 1: 1.0, 2: 1.0}, epochs=1).model.layers[-1].bias.numpy()
    plain = train(epochs=1).model.layers[-1].bias.numpy()
    assert (after - before)[0] < 0 < (plain - before)[0]


@pytest.mark.slow
def test_a_weighted_training_goes_on_to_the_same_end(tmp_path):
    options = {"augment": Augment(flip=True, mixup=0.2), "class_weights": "balanced"}
    whole = train(**options)
    end_after(1, lambda: train(folder=tmp_path, **options))
    assert_equal(train(folder=tmp_path, **options), whole)
