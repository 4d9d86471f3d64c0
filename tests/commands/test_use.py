"""`smallvision use` writes a source that can be understood into params.yaml, and touches no other line."""

import difflib
import shutil

import pytest

from smallvision.core.params_file import read_params
from tests.conftest import ROOT, Project, assert_one_line, jpeg, write_zip
from tests.pipeline.repository import SMALL, make_repository
from tests.servers import serve

USE = "smallvision.commands.use"
# The params.yaml that people have, with the first recipe only: reading all of them takes four times as long.
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("  augmented:")[0]
NAMES = ["photos (1).zip", "mes-été", "a,b=c", "it's", "2021", "no", "x: y #z", "{a}", "drawn", "kaggle.zip", '"']


def pictures(*folders: str, count: int = 3) -> dict[str, bytes]:
    return {
        f"{folder}/{index}.jpg": jpeg(100 * place + index)
        for place, folder in enumerate(folders)
        for index in range(count)
    }


def place(path, members: dict[str, bytes]):
    """Write pictures to a zip archive or, if the path has another ending, to a folder."""
    if path.suffix == ".zip":
        return write_zip(path, members)
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture
def own(project: Project):
    """A project with the params.yaml that people have."""
    (project.folder / "params.yaml").write_text(TEXT, encoding="utf-8")
    return project


def changes(project: Project) -> list[str]:
    """The lines of params.yaml that are new, without their comments."""
    new = (project.folder / "params.yaml").read_text(encoding="utf-8")
    lines = list(difflib.ndiff(TEXT.splitlines(), new.splitlines()))
    assert sum(line.startswith("- ") for line in lines) == sum(line.startswith("+ ") for line in lines)
    return [line[2:].split("   #")[0].split(" # ")[0].strip() for line in lines if line.startswith("+ ")]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_and_the_next_stages_run_on_it(own: Project, name):
    place(own.folder / name, pictures("cat", "dog"))
    result = own.call(USE, f"./{name}")
    assert (result.returncode, result.stderr) == (0, "")
    assert read_params(own.folder / "params.yaml").source == f"./{name}"
    new = changes(own)
    assert new[0].startswith("source:")
    assert new[1:] == ["train: 0.7", "validation: 0.15", "test: 0.15"]
    assert result.stdout.splitlines()[-1] == "use: next: dvc repro"
    assert (own.fetch().returncode, own.split().returncode) == (0, 0)


def test_what_was_understood_and_written_is_said_in_80_columns(own: Project):
    name = f"{'x' * 90}.zip"
    write_zip(own.folder / name, pictures("cat", "dog") | {"cat/.hidden.jpg": b"", "test/1.jpg": jpeg(999)})
    result = own.call(USE, name)
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 79
    for words in ("6 labelled pictures of 2 classes; labels from folders", "cat 3, dog 3", "unlabelled: 1 picture,",
                  "left out, hidden: 1 (1 jpg)", "params.yaml: split.train: 0.7"):  # fmt: skip
        assert words in " ".join(result.stdout.split()), words


def test_a_second_time_changes_nothing(own: Project):
    place(own.folder / "mine", pictures("cat", "dog"))
    own.call(USE, "mine")
    before = (own.folder / "params.yaml").read_bytes()
    assert "use: params.yaml: has it already\n" in own.call(USE, "mine").stdout
    assert (own.folder / "params.yaml").read_bytes() == before


def test_a_path_outside_the_project_becomes_absolute(own: Project):
    place(own.folder.parent / "outside", pictures("cat", "dog"))
    place(own.folder / "inside", pictures("cat", "dog"))
    for given, expected in (
        ("../outside", own.folder.parent / "outside"),
        ("inside", "inside"),
        ("./inside/", "./inside/"),
        (str(own.folder / "inside"), own.folder / "inside"),
    ):
        assert own.call(USE, given).returncode == 0
        assert read_params(own.folder / "params.yaml").source == str(expected)


def test_two_readings_are_an_error_that_names_both_and_writes_nothing(own: Project):
    folders = [f"{state}/{fruit}" for state in ("fresh", "rotten") for fruit in ("apple", "pear")]
    place(own.folder / "fruit", pictures(*folders))
    result = own.call(USE, "fruit")
    assert_one_line(result, 3, "use: fruit: the classes may be", "fresh, rotten (`labels: top`)",
                    "apple, pear (`labels: parent`)", "--labels")  # fmt: skip
    assert (own.folder / "params.yaml").read_text(encoding="utf-8") == TEXT
    assert own.call(USE, "fruit", "--labels", "parent").returncode == 0
    assert "labels: parent" in changes(own)


def test_what_was_meant_for_another_source_is_taken_back(own: Project):
    place(own.folder / "scans", pictures(*(f"{label}/patient{n}" for label in ("ill", "well") for n in range(4))))
    place(own.folder / "pets", pictures("cat", "dog", "owl"))
    assert own.call(USE, "scans", "--group", "folder", "--labels", "top").returncode == 0
    assert "group: folder" in changes(own)
    path = own.folder / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("classes: null", "classes: [ill, well]"), encoding="utf-8")
    assert own.call(USE, "pets").returncode == 0
    params = read_params(path)
    assert (params.source, params.labels, params.classes, params.split.group) == ("pets", "auto", None, None)
    path.write_text(path.read_text(encoding="utf-8").replace("classes: null", "classes: [cat, owl]"), encoding="utf-8")
    assert own.call(USE, "pets").returncode == 0
    assert read_params(path).classes == ["cat", "owl"]


@pytest.mark.parametrize(
    ("members", "counts", "expected", "said"),
    [
        (pictures("cat", "dog", count=8), "4 2 2", None, "next"),
        (pictures("cat", "dog", count=7), "4 2 2", "0.7 0.15 0.15", "the counts need 8 pictures of each class"),
        (pictures("cat", "dog", count=9), "4 2 2", None, "leave 2 pictures out"),
        (pictures("cat", "dog", count=2), "4 2 2", "0.7 0.15 0.15", "too few pictures of cat: have 2, need 3"),
        (pictures("cat", "dog", count=3), "0.8 0.1 0.1", None, "next"),
        (pictures("train/cat", "train/dog", "test/cat", "test/dog"), "4 2 2", None, "validation will be taken from"),
        (pictures("train/cat", "train/dog", "test/cat", "test/dog"), "1 3 9", "0.7 0.15 0.15", "need 4"),
    ],
)  # fmt: skip
def test_shares_are_written_if_there_are_too_few_pictures_for_the_counts(own: Project, members, counts, expected, said):
    path = own.folder / "params.yaml"
    for old, new in zip(("train: 1000", "validation: 500", "test: 500"), counts.split(), strict=True):
        text = path.read_text(encoding="utf-8").replace(f"  {old}", f"  {old.split()[0]} {new}")
        path.write_text(text, encoding="utf-8")
    place(own.folder / "mine", members)
    result = own.call(USE, "mine")
    assert said in " ".join(result.stdout.split())
    assert " ".join(map(str, read_params(path).split.sizes.values())) == (expected or counts)


def test_the_named_sources_are_not_fetched(own: Project):
    assert own.call(USE, "drawn").stdout == "use: params.yaml: has it already\nuse: next: dvc repro\n"
    assert own.call(USE, "kaggle").returncode == 0
    assert changes(own) == ["source: kaggle"]
    assert "and rabbit has 450" in " ".join(own.call(USE, "drawn3").stdout.split())
    assert changes(own) == ["source: drawn3", "train: 0.7", "validation: 0.15", "test: 0.15"]
    assert not (own.folder / "data").exists()


def test_what_an_address_names_is_read_and_not_kept(own: Project):
    content = write_zip(own.folder.parent / "x.zip", pictures("cat", "dog")).read_bytes()
    with serve(lambda handler: handler.send(200 if handler.path == "/pictures.zip" else 404, content)) as server:
        assert_one_line(own.call(USE, f"{server.address}.7z"), 4, "the server answered 404")
        assert changes(own) == []
        result = own.call(USE, server.address)
        assert "use: pictures.zip: 6 labelled pictures of 2 classes" in result.stdout
        assert read_params(own.folder / "params.yaml").source == server.address
    assert not list((own.folder / "data").rglob("*.zip"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["kagle"], 3, "use: kagle: no such folder or archive, none of drawn, drawn3, kaggle, microsoft, and no"),
        (["none"], 3, "use: none: no labels; expected"),
        (["tests"], 3, "all labelled pictures are for test"),
        (["mine", "--group", "(("], 2, "use: params.yaml: split.group: no valid pattern"),
        (["mine", "--labels", ""], 2, "use: params.yaml: labels: expected"),
        (["mine", "--labels", "labels.csv"], 2, "labels.csv"),
        (["x\udcff"], 3, "the name is not UTF-8; rename it"),
        (["\0"], 3, "\\x00: no such folder or archive"),
        (["~no-such-user/x"], 3, "~no-such-user/x: no path: Could not determine home directory"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(own: Project, arguments, code, words):
    place(own.folder / "mine", pictures("cat", "dog"))
    place(own.folder / "tests", pictures("test/cat", "test/dog"))
    place(own.folder / "none", pictures("one"))
    place(own.folder / "x\udcff", pictures("cat", "dog"))
    assert_one_line(own.call(USE, *arguments), code, words)
    assert (own.folder / "params.yaml").read_text(encoding="utf-8") == TEXT


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_keeps_both(own: Project):
    path = own.folder / "params.yaml"
    before = "\ufeff" + (ROOT / "params.yaml").read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_bytes(before.encode())
    place(own.folder / "mine", pictures("cat", "dog"))
    assert own.call(USE, "mine").returncode == 0
    after = path.read_bytes().decode()
    assert after.replace("mine ", "drawn").splitlines()[:3] == before.splitlines()[:3]
    assert after.splitlines()[12:] == before.splitlines()[12:]
    assert after.count("\r\n") == after.count("\n") == before.count("\n")


@pytest.mark.slow
def test_dvc_runs_what_was_written_and_takes_quoted_names_itself(tmp_path):
    repository = make_repository(tmp_path, tmp_path / "none", **SMALL)
    for name in ("photos (1).zip", "a,b=c", "it's"):
        place(tmp_path / name, pictures("cat", "dog"))
        repository.run("python", "-m", "smallvision", "use", name)
        assert "Running stage 'fetch':" in repository.run("dvc", "repro", "split")
        quoted = name.replace("'", "\\'")
        repository.run("dvc", "exp", "run", "-S", f"source='./{quoted}'", "fetch")
        assert read_params(tmp_path / "params.yaml").source == f"./{name}"


@pytest.mark.slow
def test_a_project_without_git_runs_after_the_documented_setting(tmp_path):
    repository = make_repository(tmp_path, tmp_path / "mine", **SMALL)
    place(tmp_path / "mine", pictures("cat", "dog"))
    shutil.rmtree(tmp_path / ".git")
    assert f"ERROR: {tmp_path} is not a git repository" in repository.run("dvc", "repro", "fetch", check=False)
    repository.run("dvc", "config", "core.no_scm", "true")
    assert repository.run("python", "-m", "smallvision", "use", "mine").endswith("use: next: dvc repro\n")
    repository.run("dvc", "repro", "split")
