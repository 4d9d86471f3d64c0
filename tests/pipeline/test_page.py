"""The page of plots that DVC writes is drawn in a real browser."""

import re
import shutil
import subprocess

import pytest
import vl_convert

from tests.conftest import jpeg, write_zip
from tests.pipeline.repository import SMALL, make_repository

needs_chromium = pytest.mark.skipif(
    not shutil.which("chromium"), reason="no chromium here; on Debian: apt-get install chromium"
)
# Writes the widths of the pictures into the title, where --dump-dom shows them.
INSPECT = "<script>onload = () => document.title = [...document.images].map(image => image.naturalWidth)</script>"


def open_page(page, profile) -> str:
    """Return what a page becomes in Chromium."""
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    options += f" disable-component-update disable-sync user-data-dir={profile} virtual-time-budget=20000 dump-dom"
    command = ["chromium", *(f"--{option}" for option in options.split(" "))]
    return subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=180, check=True).stdout


@pytest.mark.slow
@needs_chromium
def test_the_page_is_drawn_without_a_network(tmp_path):
    members = {
        f"{label}/{index}.jpg": jpeg(100 * place + index)
        for place, label in enumerate(("$cat$", "Hund & <b>", "owl"))
        for index in range(8)
    }
    (tmp_path / "project").mkdir()
    repository = make_repository(tmp_path / "project", write_zip(tmp_path / "pictures.zip", members), **SMALL)
    vega = repository.folder / ".dvc/plots/vega.js"
    vega.write_text(vl_convert.javascript_bundle(vl_version="5.21"), encoding="utf-8")
    repository.run("dvc", "repro")
    repository.run("dvc", "plots", "show")
    page = repository.folder / "dvc_plots/index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{INSPECT}</body>"), encoding="utf-8")
    drawn = open_page(page, tmp_path / "profile")
    assert "<title>675,1075,1090</title>" in drawn
    assert drawn.count("cdn.jsdelivr.net/npm/vega@") == 1  # the template still contains this address once
    plots = re.findall(r'<svg[^>]*class="marks".*?</svg>', drawn, re.S)
    assert len(plots) == 8
    for plot in plots:
        assert re.search(r'class="mark-(line|symbol|rect)[^>]*><path [^>]*d="M', plot), plot[:300]
    for name in ("$cat$", "Hund &amp; &lt;b&gt;", "owl"):
        assert sum(name in plot for plot in plots) == 4  # in the plots confusion matrix, classes, ROC and threshold

    vega.unlink()  # as if somebody moved the page away from this file
    assert open_page(page, tmp_path / "another").count("cdn.jsdelivr.net/npm/vega@") == 2
