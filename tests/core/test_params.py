"""params.yaml, read as DVC reads it and checked before anything heavy is imported."""

import subprocess
import time
from pathlib import Path

import dvc.utils.serialize
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallvision.core.errors import ParameterError
from smallvision.core.params_file import read_params
from tests.conftest import PARAMS, ROOT, Project, assert_one_line

GOOD = PARAMS.format(source="drawn")


def read(folder: Path, text: str | bytes):
    path = folder / "params.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_params(path)


def test_the_projects_own_file_is_valid():
    params = read_params(ROOT / "params.yaml")
    assert params.recipe in params.recipes


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-05", 1e-5),
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("0.0001", 1e-4),
        ("1", 1.0),
        (".5", 0.5),
        ("'1e-4'", 1e-4),
        ('"0.5"', 0.5),
        ("1e400", None),
    ],
)  # fmt: skip
def test_a_float_is_accepted_however_it_is_written(tmp_path, written, value):
    text = GOOD.replace("lr: 1.0e-4", f"lr: {written}")
    if value is None:
        with pytest.raises(ParameterError, match="lr: expected a finite number"):
            read(tmp_path, text)
    else:
        assert read(tmp_path, text).lr == value


def test_a_whole_number_may_be_written_as_a_float(tmp_path):
    params = read(tmp_path, GOOD.replace("{epochs: 1}", "{epochs: 2.0}"))
    assert params.recipes["baseline"].epochs == 2
    assert isinstance(params.recipes["baseline"].epochs, int)


def test_a_split_is_counts_or_shares(tmp_path):
    assert read(tmp_path, GOOD).split.counts == {"train": 4, "validation": 2, "test": 2}
    shares = read(tmp_path, GOOD.replace("train: 4, validation: 2, test: 2", "train: 0.7, validation: 0.15, test: .15"))
    assert shares.split.by_share
    assert sum(shares.split.sizes.values()) == pytest.approx(1)


def test_classes_may_be_numbers_and_groups_a_word_or_a_pattern(tmp_path):
    params = read(tmp_path, GOOD.replace("seed: 42", "seed: 42\nclasses: [2021, cat]\nlabels: labels.csv:kind"))
    assert (params.classes, params.labels) == (["2021", "cat"], "labels.csv:kind")
    for group in ("null", "folder", "patient id", "'^(.+)_'"):
        split = read(tmp_path, GOOD.replace("test: 2,", f"test: 2, group: {group},")).split
        assert split.group == (None if group == "null" else group.strip("'"))


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 1.0e-4", "lr: abc", "lr: expected a valid number, received 'abc'"),
        ("lr: 1.0e-4", "lr: '1e-4x'", "lr: expected a valid number, received '1e-4x'"),
        ("lr: 1.0e-4", "lr: -1", "lr: expected greater than 0, received -1"),
        ("lr: 1.0e-4", "lr: 0", "lr: expected greater than 0"),
        ("lr: 1.0e-4", "lr: .inf", "lr: expected a finite number, received inf"),
        ("lr: 1.0e-4", "lr: .nan", "lr: expected a finite number, received nan"),
        ("lr: 1.0e-4", "lr: yes", "lr: expected a valid number, received 'yes'"),
        ("lr: 1.0e-4", "lr: true", "lr: expected a valid number, received True"),
        ("lr: 1.0e-4", "lr:", "lr: expected a valid number, received None"),
        ("lr: 1.0e-4", "lr: [1]", "lr: expected a valid number, received [1]"),
        ("lr: 1.0e-4\n", "", "lr: the key is missing"),
        ("lr: 1.0e-4", "lr: 1.0e-4\nlr: 1", "line 7: no valid YAML: found duplicate key"),
        ("lr: 1.0e-4", "lr:\t1: 2", "no valid YAML"),
        ("lr: 1.0e-4", "lr: 1.0e-4\nlearning_rate: 1", "learning_rate: there is no 'learning_rate'"),
        ("image_size: 46", "image_size: 45", "image_size: expected greater than or equal to 46, received 45"),
        (
            "image_size: 46",
            "imagesize: 46",
            "imagesize: there is no 'imagesize'; did you mean 'image_size'? (1 more wrong)",
        ),
        ("batch_size: 4", "batch_size: true", "batch_size: expected a valid integer, received True"),
        ("batch_size: 4", "batch_size: 1" + 30 * "0", "batch_size: expected less than or equal to 65536"),
        ("seed: 42", "seed: -1", "seed: expected greater than or equal to 0"),
        ("seed: 42", "seed: 1.5", "seed: expected a valid integer, received 1.5"),
        ("{epochs: 1}", "{epochs: 1.5}", "recipes.baseline.epochs: expected a valid integer, received 1.5"),
        ("{epochs: 1}", "{epochs: true}", "recipes.baseline.epochs: expected a valid integer, received True"),
        ("{epochs: 1}", "{epoch: 1}", "recipes.baseline.epoch: there is no 'epoch'; did you mean 'epochs'?"),
        ("{epochs: 1}", "{epochs: 1, btach_size: 2}", "there is no 'btach_size'; did you mean 'batch_size'?"),
        ("{epochs: 1}", "{epochs: 1, augment: {rotate: 3}}", "there is no 'rotate'; did you mean 'rotation'?"),
        ("{epochs: 1}", "{epochs: 1, augment: {zoom: 1}}", "augment.zoom: expected less than 1, received 1"),
        ("{epochs: 1}", "{epochs: 1, augment: {flip: 1}}", "augment.flip: expected a valid boolean, received 1"),
        ("{epochs: 1}", "{epochs: 1, schedule: linear}", "schedule: expected constant or cosine, received 'linear'"),
        ("{epochs: 1}", "{epochs: 1, warmup: 0.1}", "recipes.baseline: warmup needs schedule: cosine"),
        ("{epochs: 1}", "{epochs: 1, weight_decay: 0.1}", "baseline: weight_decay needs optimizer: adamw or muon"),
        ("{epochs: 1}", "{epochs: 1, optimizer: adam}", "optimizer: expected rmsprop, adamw or muon, received 'adam'"),
        (
            "{epochs: 1}",
            "{epochs: 1, augment: {size: 50}}",
            "augment.size and first_size need network: residual, which",
        ),
        ("{epochs: 1}", "{epochs: 1, augment: {first_size: 50}}", "augment.size and first_size need network: residual"),
        ("{epochs: 1}", "{epochs: 1, patience: 0}", "patience: expected greater than or equal to 1, received 0"),
        ("seed: 42", "seed: 42\ntrain_limit: 0", "train_limit: expected greater than or equal to 1, received 0"),
        ("{epochs: 1}", "{epochs: 1, units: 9}", "recipes.baseline: units needs a backbone"),
        ("{epochs: 1}", "{epochs: 1, backbone: vgg16, unfreeze: 2}", "unfreeze, finetune_lr and finetune_epochs go"),
        (
            "{epochs: 1}",
            "{epochs: 1, backbone: vgg16, unfreeze: 0}",
            "expected a number of layers or a layer's name, received 0",
        ),
        ("{epochs: 1}", "{epochs: 1, backbone: vgg16, unfreeze: true}", "a layer's name, received True"),
        ("train: 4", "train: 0.7", "split: train, validation and test are all pictures per class or all shares, rec"),
        ("train: 4, validation: 2, test: 2", "train: 0.7, validation: 0.2, test: 0.2", "split: the shares of train, "),
        ("train: 4", "train: 0", "split.train: expected a number of pictures, or a share between 0 and 1, received 0"),
        ("train: 4", "train: 1.5", "split.train: expected a number of pictures, or a share between 0 and 1, received"),
        ("train: 4", "train: true", "split.train: expected a number of pictures, or a share between 0 and 1, receiv"),
        ("train: 4", "train: -0.5", "split.train: expected a number of pictures, or a share between 0 and 1, receiv"),
        ("train: 4", "trian: 4", "split.trian: there is no 'trian'; did you mean 'train'? (1 more wrong)"),
        ("test: 2,", "test: 2, tset: 2,", "split.tset: there is no 'tset'; did you mean 'test'?"),
        ("recipe: baseline", "recipe: baselin", "recipe: there is no 'baselin'; did you mean 'baseline'?"),
        ("precision: float32", "precision: half", "precision: expected auto, float32 or bfloat16, received 'half'"),
        ("source: drawn", "source: ''", "source: expected"),
        ("source: drawn", "source: &a [*a]", "source"),
        ("seed: 42", "seed: 42\nlabels: ''", "labels: expected"),
        ("seed: 42", "seed: 42\nclasses: cat", "classes: expected null or a list of at least two different names, rec"),
        ("seed: 42", "seed: 42\nclasses: [cat]", "two different names, received ['cat']"),
        ("seed: 42", "seed: 42\nclasses: [1, '1']", "two different names, received [1, '1']"),
        ("seed: 42", "seed: 42\nclasses: [cat, true]", "two different names, received ['cat', True]"),
        ("test: 2,", "test: 2, subsets: old,", "split.subsets: expected given or new, received 'old'"),
        ("test: 2,", "test: 2, order: size,", "split.order: expected name or random, received 'size'"),
        ("test: 2,", "test: 2, seed: -1,", "split.seed: expected greater than or equal to 0, received -1"),
        (
            "test: 2,",
            "test: 2, group: '',",
            "split.group: expected null, folder, a column's name or a pattern with one",
        ),
        ("test: 2,", "test: 2, group: 3,", "split.group: expected null, folder, a column's name or a pattern with one"),
        ("test: 2,", "test: 2, group: '(a',", "split.group: no valid pattern (missing ), unterminated subpattern"),
        ("test: 2,", "test: 2, group: '(?:a)',", "pattern with exactly one group in parentheses, received '(?:a)'"),
        ("test: 2,", "test: 2, group: '(a)(b)',", "pattern with exactly one group in parentheses, received '(a)(b)'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ParameterError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert message in str(caught.value)
    assert str(tmp_path / "params.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected keys and values, received nothing"),
        (b"# only a comment\n", "received nothing"),
        (b"- 1\n", "received a list"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: [", "no valid YAML"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, content, message):
    with pytest.raises(ParameterError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(("old", "key"), [("lr: 1.0e-4", "lr"), ("epochs: 1", "epochs: 1, backbone: vgg16, unfreeze")])
def test_a_bomb_of_anchors_is_named_and_not_written_out(tmp_path, old, key):
    lists = ["&a [x, x, x, x, x, x, x, x, x]"]
    lists += [f"&{new} [{', '.join(9 * [f'*{last}'])}]" for last, new in zip("abcdefg", "bcdefgh", strict=True)]
    begin = time.monotonic()
    with pytest.raises(ParameterError, match="received "):
        read(tmp_path, GOOD.replace(old, f"{key}: [{', '.join(lists)}]", 1))
    assert time.monotonic() - begin < 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match="not found; run from the project's root"):
        read_params(tmp_path / "params.yaml")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParameterError):
        read_params(path)


@given(
    st.sampled_from(["lr", "seed", "image_size", "batch_size"]), st.text(alphabet="0123456789.eE+-_xoinfa ", max_size=8)
)
def test_a_number_is_what_dvc_reads(tmp_path_factory, key, written):
    """`dvc params diff` and training must never see two different values."""
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    lines = [f"{key}: {written}" if line.startswith(f"{key}:") else line for line in GOOD.splitlines()]
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        value = getattr(read_params(path), key)
    except ParameterError:
        return
    assert value == dvc.utils.serialize.load_yaml(str(path))[key]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("stages.fetch", "archive.zip"), marks=pytest.mark.slow),
        pytest.param(("stages.split", "archive.zip", "pictures"), marks=pytest.mark.slow),
        ("stages.train", "pictures", "models", "train.json", "plots", "logs"),
    ],
)
def test_a_stage_refuses_wrong_parameters_before_heavy_imports(project: Project, command):
    project.write_params(text=PARAMS.replace("1.0e-4", "abc"))
    result = project.run(*command, PYTHONPROFILEIMPORTTIME="1")
    lines = result.stderr.splitlines()
    imports = [line for line in lines if line.startswith("import time:")]
    result.stderr = "\n".join(line for line in lines if line not in imports)
    assert_one_line(result, 2, f"{command[0].removeprefix('stages.')}: params.yaml: lr: expected")
    imported = {line.split("|")[-1].strip() for line in imports}
    assert "pydantic" in imported
    assert not {"tensorflow", "keras", "scipy", "kagglehub"} & imported


def test_wrong_usage_exits_2(project: Project):
    result: subprocess.CompletedProcess[str] = project.call("stages.fetch")
    assert result.returncode == 2
    assert "required: archive" in result.stderr
