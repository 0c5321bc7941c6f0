"""A person fills in the brief, in a real JupyterLab in a real Chromium: by hand, by a sentence, in both themes."""
import shutil

import nbformat
import pytest

from epochkit.core.brief import brief_path, load_brief
from epochkit.core.settings import load_settings
from epochkit.tests.jupyterlab import CHROMIUM, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
FORM = ".kit.form.brief"
NOTEBOOK = "from epochkit.planning.form import brief_form\nfrom epochkit.core.settings import load_settings\nbrief_form(load_settings())"
ROWS = "score;colour;Größe in cm;mail\n" + "\n".join(f"{3 + i % 4};{('red', 'blue')[i % 2] if i > 1 else ''};{150 + i / 3:.1f};a{i}@b.org" for i in range(60))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("form")
    cell = nbformat.v4.new_code_cell(NOTEBOOK)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / "form.ipynb")
    with jupyterlab(folder, EPOCH_HOME=str(folder / "home")) as lab:
        yield lab


@pytest.fixture
def settings(lab):
    "An empty home and fresh kernels"
    lab.forget_sessions()
    shutil.rmtree(lab.folder / "home", ignore_errors=True)
    (lab.folder / "home" / "tables").mkdir(parents=True)
    (lab.folder / "home" / "tables" / "scores.csv").write_text(ROWS, encoding="utf-8")
    (lab.folder / "home" / "tables" / "notes.md").write_text("not a table")
    lab.use_theme("JupyterLab Light")
    return load_settings(home=lab.folder / "home", env={})


def type_into(page, label, text):
    "Types into the field and leaves it, as a person does"
    field = page.locator(FORM).get_by_label(label).first
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
    page.wait_for_selector(f"{FORM} >> text=where the data is; what is to be predicted.")
    assert save.is_disabled() and page.locator(f"{FORM} [title*='Example: file:customers.csv']").count()
    page.locator(FORM).get_by_role("button", name="Browse …").click()
    page.locator(f"{FORM} .entry", has_text="tables/").click()
    page.wait_for_selector(f"{FORM} .entry >> text=scores.csv")
    assert page.locator(f"{FORM} .entry").count() == 1
    page.locator(f"{FORM} .entry", has_text="scores.csv").click()
    page.wait_for_selector(f"{FORM} .column >> text=hidden: looks personal", timeout=30_000)
    page.wait_for_selector(f"{FORM} .column >> text=3 % missing")
    assert "a1@b.org" not in page.locator(FORM).inner_text()
    assert page.locator(FORM).get_by_label("Where the data is").input_value() == "file:tables/scores.csv"
    page.locator(FORM).get_by_label("What is to be predicted").select_option(label="score")
    page.wait_for_selector(f"{FORM} >> text=4 classes: 3 (15), 4 (15), 5 (15), 6 (15)", timeout=20_000)
    page.wait_for_selector(f"{FORM} >> text=One question is open:")
    show(notebook, f"{FORM} h4:has-text('What must be said')", "brief_form_question")
    page.locator(FORM).get_by_role("button", name="regression").click()
    page.wait_for_selector(f"{FORM} >> text=No question is open.", timeout=20_000)
    page.locator(f"{FORM} .jupyter-widget-Collapse-header", has_text="What good means").click()
    type_into(page, "Goal", "high")
    page.wait_for_selector(f"{FORM} .field:has-text('Goal') .wrong >> text='high' is no number", timeout=20_000)
    assert save.is_disabled()
    show(notebook, f"{FORM} h4:has-text('What has a default')", "brief_form_wrong")
    type_into(page, "Goal", "")
    row = page.locator(f"{FORM} .column", has_text="colour")
    row.locator("select").select_option(label="text")
    page.wait_for_selector(f"{FORM} .column >> text=set in the brief", timeout=20_000)
    page.locator(f"{FORM} .column", has_text="Größe in cm").get_by_label("known after").check()
    page.wait_for_selector(f"{FORM} .column:has-text('Größe in cm') .chip:has-text('known after')", timeout=20_000)
    page.wait_for_selector(f"{FORM} >> text=No question is open.", timeout=20_000)
    save.click()
    page.wait_for_selector(f"{FORM} >> text=holds this brief", timeout=20_000)
    brief = load_brief(settings)
    assert (brief.data.source, brief.data.target, brief.data.task) == ("file:tables/scores.csv", "score", "regression")
    assert (brief.data.roles, brief.data.known_after) == ({"colour": "text"}, ["Größe in cm"])
    show(notebook, f"{FORM} .columns", "brief_form_saved")
    page.close()


@pytest.mark.parametrize("theme, width", [("Light", 1280), ("Dark", 1920)])
def test_a_sentence_fills_the_form_in_both_themes(lab, browser, settings, theme, width):
    lab.use_theme(f"JupyterLab {theme}")
    notebook = lab.open(browser, "form.ipynb", width=width, height=1500)
    notebook.run_all(FORM)
    page = notebook.page
    sentence = page.get_by_placeholder("Plan a churn project", exact=False)
    sentence.fill("Plan a loan default project on the demo credit data, target status, protecting age, at least 0.8 AUC, GDPR, a missed bad loan costs 5 times more, budget by 3")
    sentence.blur()
    page.get_by_role("button", name="Fill in").click()
    page.wait_for_selector(f"{FORM} .column >> text=Seniority", timeout=30_000)
    page.wait_for_selector(f"{FORM} >> text=not saved yet", timeout=20_000)
    page.wait_for_selector(f"{FORM} .bar.wait li >> text=budget by 3")
    assert page.locator(FORM).get_by_label("What is to be predicted").input_value() == "Status"
    show(notebook, ".kit.card", f"brief_form_{theme.lower()}_{width}")
    page.locator(f"{FORM} .jupyter-widget-Collapse-header", has_text="What is known about cells").click()
    show(notebook, f"{FORM} h4:has-text('What has a default')", f"brief_form_more_{theme.lower()}_{width}")
    colours = page.evaluate(f"['h4', '.widget-label', '.widget-text input', '.column b'].map(s => getComputedStyle(document.querySelector('{FORM} ' + s)).color)")
    assert colours[0] == ("rgb(51, 51, 51)" if theme == "Light" else "rgb(238, 242, 244)") and len(set(colours)) <= 3
    assert not brief_path(settings).exists()
    page.get_by_role("button", name="Save the brief").click()
    page.wait_for_selector(f"{FORM} >> text=holds this brief", timeout=20_000)
    brief = load_brief(settings)
    assert brief.data.protected == ["Age"] and (brief.metric.cost_false_negative, brief.budget.cost_limit) == (5, None)
    page.close()
