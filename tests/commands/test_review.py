"""Label errors, duplicates and rejected pictures are listed for a person, and nothing is altered."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from smallvision.commands.review_page import build_page
from smallvision.core.files import sha256_of
from smallvision.data.pictures.manifest import Entry, Rejection
from smallvision.evaluation.label_errors import Suspect
from smallvision.models.facts import ModelFacts, write_facts
from tests.conftest import PARAMS, Project, assert_one_line, jpeg, kaggle_members, write_zip
from tests.data.pictures.helpers import make_manifest

REVIEW = "smallvision.commands.review"
FACTS = ModelFacts("baseline", "drawn", "", ["cat", "dog"], 46, {}, "0123456789abcdef", "")


def entry(name, label="cat", subset="train"):
    return Entry(subset, label, name, f"{label}/{name}", "", "JPEG")


def make_page(folder, entries, suspects=((), ()), top=3, **manifest):
    for each in entries:
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(len(str(path)), width=500))
    empty = make_manifest(["cat", "dog"], entries)
    return build_page(folder, replace(empty, **manifest), FACTS, *suspects, top)


def test_every_name_on_the_page_is_escaped(tmp_path):
    name, label = "<img src=x onerror=alert(1)>\n.jpg", "<b>&"
    odd = entry(name, label)
    page = make_page(
        tmp_path, [odd], ([Suspect(odd, 0.1, "<i>", 0.9)], []), source="<s>",
        rejected=[Rejection("<u>\x1b[31m.jpg", "<q>")], duplicates=[[odd.source, odd.source]],
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


def test_a_copy_that_was_left_out_is_named(tmp_path):
    kept = entry("1.jpg", subset="test")
    page = make_page(tmp_path, [kept], duplicates=[[kept.source, "train/<2>.jpg"]])
    assert "train/&lt;2&gt;.jpg<br>left out" in page
    assert page.count("<img ") == 1


def test_what_cannot_be_reviewed_is_refused(project: Project):
    assert_one_line(project.call(REVIEW), 3, "review: data/models/model.keras: not found; `dvc repro")
    result = project.call(REVIEW, "--top", "0")
    assert result.returncode == 2
    assert "--top: expected at least 1, received 0" in result.stderr


def test_a_model_of_another_split_is_refused(project: Project):
    write_zip(project.archive, kaggle_members(8))
    assert project.split().returncode == 0
    model = project.folder / "data/models/model.keras"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"is not loaded")
    write_facts(model, replace(FACTS, pictures="0" * 64, sha256=sha256_of(model)))
    result = project.call(REVIEW)
    assert_one_line(result, 3, "review: data/models/model.keras: trained on another split than data/pictures; `dvc")


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
    swapped = [3, 17, 26, 36]  # two of train, one of validation, one of test
    for number in swapped:
        members[f"red/{number}.jpg"] = coloured(5000 + number, 1)
    members["sea/9.jpg"] = b"no picture"
    text = PARAMS.replace("train: 4, validation: 2, test: 2", "train: 0.6, validation: 0.2, test: 0.2")
    project.write_params(text=text.replace("baseline: {{epochs: 1}}", "baseline: {{epochs: 8, lr: 1.0e-3}}"))
    write_zip(project.archive, members)
    assert project.split().returncode == 0
    result = project.call("stages.train", "data/pictures", "data/models", "train.json", "plots", "logs")
    assert result.returncode == 0, result.stderr
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    result = project.call(REVIEW, "--top", "5")
    assert (result.returncode, result.stderr) == (0, "")
    found = re.findall(r"review: (\w+)/(red/\d+)\.jpg: labelled red", result.stdout)
    assert {f"red/{number}" for number in swapped} <= {path for _, path in found}, result.stdout
    assert "sea/9.jpg" in (project.folder / "data/review/index.html").read_text()
    assert all(path.read_bytes() == data for path, data in before.items())
