"""The web page says what the network answers; a real browser shows it."""

import importlib.util
import json
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smallvision.commands import demo
from smallvision.core.errors import SurroundingsError
from smallvision.data.pictures.decoding import PictureError
from smallvision.models.facts import ModelFacts, read_facts
from tests.conftest import Project, assert_one_line, jpeg, save_model

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
CLASSES = ["cat", '<b>"dog"</b>']


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """An untrained network that knows two classes, and the metrics of its test."""
    import keras

    from smallvision.models.convnet import build_convnet

    keras.utils.set_random_seed(5)
    path = tmp_path_factory.mktemp("models") / "model.keras"
    facts = save_model(path, build_convnet(46, 2), recipe="baseline", source="drawn", classes=CLASSES)
    metrics = {**facts.ids, "acc": 0.897, "acc_low": 0.8766, "acc_high": 0.9143, "n": 1000}
    path.with_name("test.json").write_text(json.dumps(metrics))
    return path


@pytest.fixture(scope="module")
def facts(model_file) -> ModelFacts:
    return read_facts(model_file)


def test_the_answer_has_every_class_and_two_pictures_of_the_same_form(model_file, facts):
    from smallvision.models.keras_file import load_model

    answer = demo.classify(jpeg(1, width=600, height=300), load_model(model_file, facts), facts)
    assert sorted(answer.probabilities) == sorted(CLASSES)
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values(), reverse=True)
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.picture.size == answer.heat.size == (480, 240)
    assert np.asarray(answer.heat).std() > 0


@pytest.mark.parametrize(("data", "message"), [(b"x", "no picture"), (jpeg(1)[:900], "damaged")])
def test_a_bad_picture_is_refused_with_its_reason(facts, data, message):
    with pytest.raises(PictureError, match=message):
        demo.classify(data, None, facts)


def test_the_accuracy_is_that_of_this_model_or_none(model_file, facts):
    metrics = model_file.with_name("test.json")
    assert "89.7% of 1000 test pictures (95% interval 87.7% to 91.4%)" in demo.describe_model(facts, metrics)
    for other, path in ((replace(facts, weights="f" * 64), metrics), (facts, metrics.with_name("none.json"))):
        assert "was not measured" in demo.describe_model(other, path)
        assert "%" not in demo.describe_model(other, path)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind((demo.HOST, 0))
        other.listen()
        with pytest.raises(SurroundingsError, match=f"port {other.getsockname()[1]} on 127.0.0.1: Address already"):
            demo.require_port(other.getsockname()[1])


@pytest.mark.parametrize(
    ("package", "code", "words"),
    [
        (None, 5, "demo: the page needs the package nicegui; `make demo` installs it"),
        ("nicegui", 3, "demo: data/models/model.keras: not found; `dvc repro train` makes it"),
    ],
)
def test_what_is_missing_is_one_line_that_says_how_to_get_it(project: Project, monkeypatch, package, code, words):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    assert_one_line(project.call("smallvision.commands.demo"), code, words)


@pytest.fixture
def address(project: Project, model_file, monkeypatch) -> Iterator[str]:
    """The page, served by a process of its own."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, NiceGUI would believe that its own tests run
    with socket.socket() as free:
        free.bind((demo.HOST, 0))
        port = free.getsockname()[1]
    files = ("--model", str(model_file), "--metrics", str(model_file.with_name("test.json")))
    server = project.start("smallvision", "demo", *files, "--port", str(port))
    try:
        assert server.stdout.readline() == f"demo: http://127.0.0.1:{port}  (Ctrl-C ends it)\n"
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex((demo.HOST, port)) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        rest, _ = server.communicate(timeout=30)
    assert server.returncode == 143
    assert rest == "demo: interrupted\n"


@pytest.fixture
def browser() -> Iterator[object]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in ("headless=new", "no-sandbox", "window-size=1000,1000"):
        options.add_argument(f"--{option}")
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("nicegui"), reason="nicegui is missing: `make demo` installs it")
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # selenium leaves sockets open
def test_a_person_drops_pictures_in_a_browser(browser, address, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, 90)
    browser.get(address)
    assert browser.title == "smallvision"
    wait.until(lambda _: "89.7% of 1000 test pictures" in browser.find_element(By.TAG_NAME, "body").text)

    def drop(name: str, data: bytes, expected: str) -> str:
        (tmp_path / name).write_bytes(data)
        browser.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(tmp_path / name))
        wait.until(lambda _: expected in browser.find_element(By.ID, "result").text)
        return browser.find_element(By.ID, "result").text

    shown = drop("a cat.jpg", jpeg(1), "bright is what spoke for")
    assert all(name in shown for name in CLASSES)  # also the name that contains tags, shown as text
    name, probability = browser.find_element(By.ID, "answer").text.rsplit(" ", 1)
    assert name in CLASSES
    assert 50 <= float(probability.rstrip("%")) <= 100
    images = browser.find_elements(By.CSS_SELECTOR, "#result img")
    assert len(images) == 2
    captions = [image.get_dom_attribute("alt") for image in images]
    assert captions == ["the picture", f"bright is what spoke for {name}"]
    sizes = "return [...document.querySelectorAll('#result img')].map(i => [i.naturalWidth, i.naturalHeight])"
    wait.until(lambda _: browser.execute_script(sizes) == [[60, 50], [60, 50]])

    for bad, data, reason in (
        ("<img src=x>.jpg", b"no picture", "<img src=x>.jpg: no picture in a supported format"),
        ("half.jpg", jpeg(1)[:900], "half.jpg: damaged: "),
        (
            "huge.bmp",
            b"BM" + bytes(12) + b"(\0\0\0" + b"\0\0\1\0" * 2 + b"\1\0\30\0" + bytes(24),
            "65536x65536 pixels",
        ),
    ):
        drop(bad, data, reason)
        assert browser.find_elements(By.CSS_SELECTOR, "#result [role=alert]")
        assert not browser.find_elements(By.CSS_SELECTOR, "#result img")
    drop("a cat.jpg", jpeg(2), "bright is what spoke for")  # the page still works afterwards

    # Nothing comes from elsewhere: the page works without a network.
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert loaded
    assert all(name.startswith((address, "data:", "blob:")) for name in loaded), loaded
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
