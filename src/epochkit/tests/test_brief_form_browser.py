"""A person fills in the brief, in a real JupyterLab in a real Chromium: by hand, by a sentence, in both themes."""
import shutil

import nbformat
import pytest

from epochkit.core.brief import brief_path, load_brief
from epochkit.core.settings import load_settings
from epochkit.tests.jupyterlab import CHROMIUM, chromium, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
FORM = ".kit.form.brief"
NOTEBOOK = "from epochkit.planning.form import brief_form\nfrom epochkit.core.settings import load_settings\nbrief_form(load_settings())"
ROWS = "score;colour;Größe in cm;mail\n" + "\n".join(f"{3 + i % 4};{('red', 'blue')[i % 2]};{150 + i / 3:.1f};a{i}@b.org" for i in range(60))


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("form")
    cell = nbformat.v4.new_code_cell(NOTEBOOK)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / "form.ipynb")
    (folder / "scores.csv").write_text(ROWS, encoding="utf-8")
    with jupyterlab(folder, EPOCH_HOME=str(folder / "home")) as lab:
        yield lab


@pytest.fixture
def settings(lab):
    "An empty home and fresh kernels"
    lab.forget_sessions()
    shutil.rmtree(lab.folder / "home", ignore_errors=True)
    lab.use_theme("JupyterLab Light")
    return load_settings(home=lab.folder / "home", env={})


def type_into(page, label, text):
    "Types into the field and leaves it, as a person does"
    field = page.locator(FORM).get_by_label(label, exact=True).first
    field.fill(text)
    field.blur()


def show(notebook, selector, name):
    notebook.page.locator(selector).first.evaluate("node => node.scrollIntoView({block: 'start'})")
    notebook.page.wait_for_timeout(400)
    notebook.shot(name)


def test_a_person_fills_in_the_form_answers_the_question_and_saves(lab, browser, settings):
    notebook = lab.open(browser, "form.ipynb", height=1400)
    notebook.run_all(FORM)
    page = notebook.page
    save = page.get_by_role("button", name="Save the brief")
    page.wait_for_selector(f"{FORM} >> text=Still needed: source and target")
    assert save.is_disabled()
    type_into(page, "source", f"file:{lab.folder / 'scores.csv'}")
    page.wait_for_selector(f"{FORM} .column >> text=Größe in cm", timeout=30_000)
    assert "a1@b.org" not in page.locator(FORM).inner_text()
    type_into(page, "target", "scroe")
    page.wait_for_selector(f"{FORM} >> text=did you mean 'score'", timeout=20_000)
    show(notebook, f"{FORM} h4:has-text('Data')", "brief_form_wrong")
    type_into(page, "target", "score")
    page.wait_for_selector(f"{FORM} >> text=4 classes: 3 (15), 4 (15), 5 (15), 6 (15)", timeout=20_000)
    show(notebook, f"{FORM} h4:has-text('Data')", "brief_form_question")
    page.locator(FORM).get_by_role("button", name="regression").click()
    page.wait_for_selector(f"{FORM} >> text=Ready to save", timeout=20_000)
    page.locator(f"{FORM} .column", has_text="colour").locator("select").select_option(label="text")
    page.wait_for_selector(f"{FORM} .column >> text=set in the brief", timeout=20_000)
    save.click()
    page.wait_for_selector(f"{FORM} >> text=Saved.", timeout=20_000)
    brief = load_brief(settings)
    assert (brief.data.target, brief.data.task, brief.data.roles) == ("score", "regression", {"colour": "text"})
    show(notebook, f"{FORM} .columns", "brief_form_saved")
    page.close()


@pytest.mark.parametrize("theme, width", [("Light", 1280), ("Dark", 1920)])
def test_a_sentence_fills_the_form_in_both_themes(lab, browser, settings, theme, width):
    lab.use_theme(f"JupyterLab {theme}")
    notebook = lab.open(browser, "form.ipynb", width=width, height=1500)
    notebook.run_all(FORM)
    page = notebook.page
    sentence = page.get_by_placeholder("Plan a credit risk project", exact=False)
    sentence.fill("Plan a loan default project on the demo credit data, target status, protecting age, at least 0.8 AUC, GDPR")
    sentence.blur()
    page.get_by_role("button", name="Fill in").click()
    page.wait_for_selector(f"{FORM} .column >> text=Seniority", timeout=30_000)
    page.wait_for_selector(f"{FORM} >> text=not saved yet", timeout=20_000)
    show(notebook, ".kit.card", f"brief_form_{theme.lower()}_{width}")
    page.locator(f"{FORM} .jupyter-widget-Collapse-header", has_text="Cleaning").click()
    show(notebook, f"{FORM} h4:has-text('What good means')", f"brief_form_more_{theme.lower()}_{width}")
    colours = page.evaluate(f"['h4', '.widget-label', '.widget-text input', '.column b'].map(s => getComputedStyle(document.querySelector('{FORM} ' + s)).color)")
    assert colours[0] == ("rgb(51, 51, 51)" if theme == "Light" else "rgb(238, 242, 244)") and len(set(colours)) <= 3
    assert not brief_path(settings).exists()
    page.get_by_role("button", name="Save the brief").click()
    page.wait_for_selector(f"{FORM} >> text=Saved.", timeout=20_000)
    assert load_brief(settings).data.protected == ["Age"]
    page.close()
