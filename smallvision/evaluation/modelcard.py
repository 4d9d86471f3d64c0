"""The model card `README.md`: what a model is, what it is for, how good it is, and how to use it.

It is for people who are given the model without the project.
"""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from smallvision.core.errors import printable
from smallvision.core.files import write_text
from smallvision.models.facts import ModelFacts

# The headings are those of Hugging Face's template, huggingface.co/docs/hub/model-card-annotated.
TEMPLATE = Template("""\
---
library_name: keras
pipeline_tag: image-classification
tags: [image-classification, smallvision]
metrics: [accuracy]
---

# Image classifier: $classes

## Model Details

Tells $count classes of pictures apart: $classes. Made by smallvision, recipe `$recipe`, $network.

- Input: RGB pictures, stretched to $size x $size pixels.
- Output: the probability of each class, calibrated by a temperature of $temperature fitted on validation pictures.
- Weights: SHA-256 `$weights`

## Uses

For pictures like those it was trained on, in which exactly one of the classes is the subject. It always names one of
them, whatever a picture shows.

## Bias, Risks, and Limitations

- The figures below hold for pictures of the same origin (`$source`). Of other cameras, places or times, measure first.
- It knows what its training pictures show, their mistakes and one-sidedness included. Nobody has examined it for
  fairness; do not let it decide about people.
- A high probability is no proof: of 100 answers given with 95%, about 5 are wrong.

## How to Get Started with the Model

    smallvision predict --model model.tflite my-picture.jpg

`model.tflite` needs LiteRT only and holds class names and these facts; `model.keras` with `model.json` beside it is for
Keras (RGB in [0, 1]); `smallvision export` writes SavedModel, LiteRT in int8, ONNX, and the part that makes
features.

## Training Details

### Training Data

`$source`, manifest SHA-256 `$pictures`.

### Training Hyperparameters

$parameters

## Evaluation

| metric | value |
|---|---|
$metrics

Test pictures chose nothing: $choices.
""")
# Metrics whose key does not say what they are.
NAMES = {
    "n": "test pictures",
    "acc": "test accuracy",
    "acc_low": "its 95% interval, from",
    "acc_high": "its 95% interval, to",
    "loss": "test cross-entropy",
    "val_acc": "validation accuracy, best epoch",
    "val_loss": "validation cross-entropy, best epoch",
    "final_val_acc": "validation accuracy, as saved",
    "final_val_loss": "validation cross-entropy, as saved",
    "c": "C, the inverse strength of the L2 penalty",
    "train_acc": "training accuracy",
    "train_loss": "training cross-entropy",
}
SAID_ELSEWHERE = (
    "source", "recipe", "model", "pictures", "backbone", "weights", "runtime", "temperature", "device", "precision",
)  # fmt: skip


def write_model_card(
    path: Path, facts: ModelFacts, training_metrics: Mapping[str, object], test_metrics: Mapping[str, object]
) -> None:
    """Write the model card as Markdown.

    Args:
        path: the file to write.
        facts: the facts about the model.
        training_metrics: the metrics that `train` wrote.
        test_metrics: the metrics of `evaluate`; None stands for a metric that is not defined.
    """
    backbone = facts.parameters.get("backbone")
    parameters = [(key, value) for key, value in facts.parameters.items() if value is not None]
    metrics = [
        (NAMES.get(key, key.replace("_", " ")), "not defined" if value is None else value)
        for key, value in [*test_metrics.items(), *training_metrics.items()]
        if key not in SAID_ELSEWHERE
    ]
    text = TEMPLATE.substitute(
        classes=", ".join(_safe(label) for label in facts.classes),
        count=len(facts.classes),
        recipe=_safe(facts.recipe),
        network=f"on the pretrained base `{_safe(str(backbone))}`"
        if backbone
        else f"the network `{facts.parameters.get('network', 'convnet')}` trained from scratch",
        size=facts.image_size,
        choices="the strength C of the penalty comes from training pictures, the temperature from validation pictures"
        if "c" in training_metrics
        else "the epoch and the temperature come from validation pictures",
        temperature=training_metrics.get("temperature", "unknown"),
        weights=facts.weights,
        source=_safe(facts.source),
        pictures=facts.pictures,
        parameters="\n".join(f"- {_safe(key)}: {_safe(str(value))}" for key, value in parameters),
        metrics="\n".join(f"| {_safe(name)} | {_safe(str(value))} |" for name, value in metrics),
    )
    write_text(path, text)


def _safe(text: str) -> str:
    """Escape text so that it cannot end a line or a table cell or become HTML, whatever a folder is called."""
    escaped = printable(text)
    for character, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "&#96;")):
        escaped = escaped.replace(character, instead)
    return escaped
