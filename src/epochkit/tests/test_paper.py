"""Stories and reports on paper, in a real Chromium: nothing is cut, dark colours stay on screens, pictures are as large as they are."""
import base64
import io

import nbformat.v4 as v4
import nbformat
import pandas as pd
import pytest

from epochkit.core.settings import load_settings
from epochkit.lifecycle.run import begin
from epochkit.report.figures import write_page
from epochkit.report.pages import export_notebook
from epochkit.report.tables import as_table
from epochkit.review.card import gate_html
from epochkit.tests.jupyterlab import CHROMIUM

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
PAPER = {"width": 688, "height": 1_000}  # A4 without its margins
TABLE = pd.DataFrame({f"a long head {number}": [1234.5, 0.25] for number in range(15)} | {"reason": ["several words that may wrap anywhere", "no"]})
TOO_WIDE = """() => [...document.querySelectorAll('table, img, pre, p')].filter(part => part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.tagName + ' ' + part.innerText.slice(0, 60))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    "A story and a report with a table of 16 columns and a picture that is wider than 999 px"
    from PIL import Image
    folder, picture = tmp_path_factory.mktemp("paper"), io.BytesIO()
    Image.new("RGB", (1622, 700), "#0072B2").save(picture, "png")
    outputs = [v4.new_output("display_data", {"text/html": as_table(TABLE, raw=True)._repr_html_()}),
               v4.new_output("display_data", {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": "3 of 4 are blue"},
                             metadata={"image/png": {"width": 1082, "height": 467}})]
    story = v4.new_notebook(cells=[v4.new_markdown_cell("# Story\n\n## Picture\n\nMany words."), v4.new_code_cell("1", outputs=outputs, execution_count=1)])
    nbformat.write(story, folder / "story.ipynb")
    (folder / "picture.png").write_bytes(picture.getvalue())
    report = write_page(folder / "report.html", "Report", [("Table", TABLE), ("Picture", folder / "picture.png"), ("More", "words")], banner="not approved")
    return {"story": export_notebook(folder / "story.ipynb", folder / "story.html"), "report": report}


@pytest.mark.parametrize("name", ["story", "report"])
def test_on_paper_nothing_is_cut_and_dark_readers_print_dark_on_white(browser, pages, name):
    page = browser.new_page(viewport=PAPER, color_scheme="dark")
    page.goto(pages[name].as_uri())
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print")
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    inks = page.evaluate("[...document.querySelectorAll('th, td, p, h1, h2')].map(part => getComputedStyle(part).color.match(/\\d+/g).map(Number))")
    assert inks and max(map(max, inks)) < 130, "words are dark"
    page.close()


@pytest.mark.parametrize("width", [390, 1920])
def test_a_wide_picture_is_as_large_as_its_page_allows(browser, pages, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(pages["story"].as_uri())
    shown = page.evaluate("[...document.images].map(image => [image.getBoundingClientRect().width, image.alt])")
    assert [alt for _, alt in shown] == ["3 of 4 are blue"] and shown[0][0] > min(width, 1_000) * 0.85
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def test_a_gate_in_a_story_has_its_tables_below_each_other_and_as_wide_as_it_is(browser, tmp_path):
    run = begin(1, load_settings(home=tmp_path, env={}))
    (run.folder / "plan.json").write_text("{}")
    run.output(run.folder / "plan.json", evidence=True)
    run.finish()
    cell = v4.new_code_cell("1", outputs=[v4.new_output("display_data", {"text/html": gate_html(run.settings, 1)})], execution_count=1)
    nbformat.write(v4.new_notebook(cells=[cell]), tmp_path / "story.ipynb")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(export_notebook(tmp_path / "story.ipynb", tmp_path / "story.html").as_uri())
    card, *tables = page.evaluate("[...document.querySelectorAll('.gate .body, .gate table')].map(part => part.getBoundingClientRect().toJSON())")
    assert len(tables) >= 2 and all(table["width"] > 0.9 * card["width"] for table in tables)
    assert all(above["bottom"] <= below["top"] for above, below in zip(tables, tables[1:]))
    page.close()
