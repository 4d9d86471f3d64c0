"""Label errors, duplicates and rejected pictures are listed for a person, and nothing is altered."""

import base64
import io
import re
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from smallvision.commands.review_page import build_page
from smallvision.data.pictures.manifest import Entry, Manifest
from smallvision.evaluation.label_errors import Suspect, cross_validate
from smallvision.evaluation.network_parts import to_features
from smallvision.evaluation.scores import rank_mistakes
from smallvision.models.facts import ModelFacts
from smallvision.models.keras_file import average_over_mirror
from smallvision.training.transfer import Head, join
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, write_zip
from tests.training.test_transfer import make_base

CARD = ModelFacts("baseline", "drawn", "", ["cat", "dog"], 46, {}, "0123456789abcdef", "")


def test_the_least_probable_label_is_first_and_what_fits_its_label_is_no_suspect():
    predicted = np.array([[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.2, 0.8], [0.55, 0.45]])
    assert rank_mistakes(np.array([0, 0, 0, 1, 1]), predicted).tolist() == [2, 1, 4]
    assert rank_mistakes(np.array([0, 1]), predicted[:2]).tolist() == []


@pytest.mark.parametrize("classes", [2, 4])
def test_cross_validation_finds_swapped_labels(classes):
    rng = np.random.default_rng(5)
    truth = np.arange(120) % classes
    features = rng.normal(size=(120, 30)) + 5 * np.eye(30)[truth]
    swapped = [3, 50, 77, 101]
    labels = truth.copy()
    labels[swapped] = (labels[swapped] + 1) % classes
    assert sorted(rank_mistakes(labels, cross_validate(features, labels))[:4]) == swapped


@pytest.mark.parametrize("mirror", [False, True])
def test_the_features_are_what_the_last_layers_decide_by(mirror):
    base = make_base()
    pooled = Head("average", 4, 0.0).pool(base)
    on_base = join(pooled, Head("average", 4, 0.0).build(8, 3))
    scratch = baseline(46, 2)
    pictures = np.random.default_rng(1).random((2, 46, 46, 3), np.float32)
    for network, length in ((on_base, 8), (scratch, 512)):
        part = to_features(average_over_mirror(network) if mirror else network)
        assert part.output_shape == (None, length)
    wanted = keras.Model(pooled.input, pooled.output)(pictures)
    assert np.allclose(to_features(on_base)(pictures), wanted)


def entry(name, label="cat", subset="train"):
    return Entry(subset, label, name, f"{label}/{name}", "", "JPEG")


def make_page(folder, entries, suspects=((), ()), top=3, **manifest):
    for each in entries:
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(len(str(path)), width=500))
    empty = Manifest("drawn", "", ["cat", "dog"], entries, [], [], [], [])
    return build_page(folder, replace(empty, **manifest), CARD, *suspects, top)


def test_every_name_on_the_page_is_escaped(tmp_path):
    name, label = "<img src=x onerror=alert(1)>\n.jpg", "<b>&"
    odd = entry(name, label)
    page = make_page(
        tmp_path, [odd], ([Suspect(odd, 0.1, "<i>", 0.9)], []), source="<s>",
        rejected=[{"source": "<u>\x1b[31m.jpg", "reason": "<q>"}], duplicates=[[odd.source, odd.source]],
    )  # fmt: skip
    tags = set(re.findall(r"<(\w+)", page))
    assert not tags & {"i", "s", "u", "q"}
    assert page.count("<img ") == 3
    assert page.count("&lt;img src=x onerror=alert(1)&gt;\\n.jpg") == 3
    assert "&lt;u&gt;\\x1b[31m.jpg" in page


def test_the_page_needs_no_other_file_and_its_pictures_are_small(tmp_path):
    entries = [entry(f"{n}.jpg") for n in range(5)]
    page = make_page(tmp_path, entries, ([Suspect(each, 0.1, "dog", 0.9) for each in entries], []))
    assert "Likely label errors, validation and test: 5, the first 3 shown" in page
    assert "Likely label errors, train: 0" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 3
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"), validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            assert max(picture.size) == 200


def test_too_few_training_pictures_to_tell_are_not_taken_for_none(tmp_path):
    page = make_page(tmp_path, [entry("1.jpg")], ([], None))
    assert "Likely label errors, train: unknown" in page
    assert "validation and test: 0" in page


def test_copies_with_different_labels_come_first(tmp_path):
    entries = [entry("1.jpg"), entry("2.jpg"), entry("3.jpg"), entry("4.jpg", "dog")]
    pair, conflict = [each.source for each in entries[:2]], [each.source for each in entries[2:]]
    page = make_page(tmp_path, entries, duplicates=[pair, conflict], conflicts=[conflict])
    assert "Duplicates: 2 groups, 1 with different labels" in page
    assert [page.index(each.path) for each in entries[2:]] < [page.index(each.path) for each in entries[:2]]


def test_a_model_of_another_split_is_refused(project: Project, tmp_path):
    assert_one_line(project.run("smallvision.review"), 3, "review: data/models/model.keras: not found; `dvc repro")
    result = project.run("smallvision.review", "--top", "0")
    assert result.returncode == 2
    assert "--top: expected at least 1, received 0" in result.stderr


def coloured(seed, hue):
    """A noisy picture, reddish or bluish."""
    pixels = np.random.default_rng(seed).integers(0, 130, (8, 8, 3), np.uint8)
    pixels[..., 2 * hue] += 110
    data = io.BytesIO()
    Image.fromarray(pixels).resize((60, 50), Image.Resampling.NEAREST).save(data, "JPEG")
    return data.getvalue()


@pytest.mark.slow
def test_swapped_labels_are_at_the_top_of_the_page(project: Project):
    members = {
        f"{label}/{n}.jpg": coloured(1000 * hue + n, hue) for hue, label in enumerate(("red", "sea")) for n in range(40)
    }
    swapped = [3, 17, 26, 36]  # by share: two of train, one of validation, one of test
    for number in swapped:
        members[f"red/{number}.jpg"] = coloured(5000 + number, 1)
    members["sea/9.jpg"] = b"no picture"
    shares = "train: 0.6, validation: 0.2, test: 0.2"
    text = PARAMS.replace("train: 4, validation: 2, test: 2", shares)
    text = text.replace("baseline: {{epochs: 1}}", "baseline: {{epochs: 8, lr: 1.0e-3}}")
    project.write_params(text=text)
    write_zip(project.archive, members)
    model = project.folder / "data/models/model.keras"
    assert project.split().returncode == 0
    trained = project.run("stages.train", "data/pictures", "data/models/model.keras", "train.json", "history.csv")
    assert trained.returncode == 0, trained.stderr
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    result = project.run("smallvision.review", "--top", "5")
    assert (result.returncode, result.stderr) == (0, "")
    found = re.findall(r"review: (\w+)/(red/\d+)\.jpg: labelled red", result.stdout)
    assert {f"red/{number}" for number in swapped} <= {path for _, path in found}, result.stdout
    page = (project.folder / "data/review/index.html").read_text()
    assert "sea/9.jpg" in page
    assert all(path.read_bytes() == data for path, data in before.items())
    assert model.exists()
    assert project.split().returncode == 0
    project.write_params(text=text.replace("0.6", "0.5"))
    assert project.split().returncode == 0
    assert_one_line(project.run("smallvision.review"), 3, "data/models/model.keras: trained on another split than")
