"""The model card says what the model is and how good, whatever names it is given."""

import re

import pytest

from smallvision.evaluation.modelcard import write_model_card
from smallvision.models.facts import ModelFacts

FACTS = ModelFacts(
    recipe="extracted",
    source="photos.zip",
    pictures="p" * 64,
    classes=["cat", "dog"],
    image_size=224,
    parameters={"backbone": "mobilenet_v2", "lr": 1e-3, "augment": None, "seed": 42},
    weights="w" * 64,
    sha256="s" * 64,
)
TRAINING = {"source": "photos.zip", "temperature": 1.25, "val_acc": 0.95, "seconds": 12.3}
TEST = {"n": 1000, "acc": 0.941, "acc_low": 0.9247, "acc_high": 0.954, "auc": None}


def test_it_has_the_headings_and_the_numbers(tmp_path):
    write_model_card(tmp_path / "README.md", FACTS, TRAINING, TEST)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^##? (.*)$", text, re.M) == [
        "Image classifier: cat, dog",
        "Model Details",
        "Uses",
        "Bias, Risks, and Limitations",
        "How to Get Started with the Model",
        "Training Details",
        "Evaluation",
    ]
    for line in (
        "| test accuracy | 0.941 |",
        "| its 95% interval, from | 0.9247 |",
        "| auc | not defined |",
        "| validation accuracy, best epoch | 0.95 |",
        "- lr: 0.001",
        "- seed: 42",
    ):
        assert line in text.splitlines()
    assert "a temperature of 1.25 fitted" in text
    assert "on the pretrained base `mobilenet_v2`" in text
    assert "augment" not in text
    assert "    smallvision predict --model model.tflite my-picture.jpg" in text.splitlines()
    assert FACTS.weights in text
    assert FACTS.pictures in text


def test_a_name_cannot_break_out(tmp_path):
    facts = ModelFacts(**{**FACTS.__dict__, "classes": ["a|b", "<img onerror=x>", "new\n# line", "`c` $d"]})
    write_model_card(tmp_path / "README.md", facts, TRAINING, TEST)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "# Image classifier: a&#124;b, &lt;img onerror=x>, new\\n# line, &#96;c&#96; $d" in text.splitlines()
    assert "<" not in text


@pytest.mark.parametrize(
    ("training", "chosen"),
    [
        (TRAINING, "the epoch and the temperature come from validation pictures."),
        (TRAINING | {"c": 0.001}, "the strength C of the penalty comes from training pictures, the temperature from "),
    ],
)
def test_it_says_what_was_chosen_and_by_which_pictures(tmp_path, training, chosen):
    write_model_card(tmp_path / "README.md", FACTS, training, TEST)
    text = (tmp_path / "README.md").read_text()
    assert f"Test pictures chose nothing: {chosen}" in text
    assert ("C, the inverse strength of the L2 penalty | 0.001" in text) == ("c" in training)
