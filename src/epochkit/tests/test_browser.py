"""A person at work, in a real Chromium: the approval panel in JupyterLab by mouse and by keyboard, and the app."""
import re
import shutil

import nbformat
import pytest

from epochkit.review import decisions as approvals
from epochkit.lifecycle import gates
from epochkit.review.decisions import REVIEW, record_decision, restored_columns
from epochkit.core.settings import EPOCHS, load_settings
from epochkit.record.ledger import Ledger
from epochkit.lifecycle.run import begin
from epochkit.lifecycle.state import project_state
from epochkit.serving.dashboard import APP_PAGES
from epochkit.serving.service import served_bundle
from epochkit.tests.conftest import DIABETES_BRIEF, ROOT
from epochkit.tests.jupyterlab import CHROMIUM, SHOTS, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
FORM, CARD = ".kit.form:not(.brief)", ".kit.gate"
SMALL_EPOCH = '''
from pathlib import Path
import json
from epochkit.lifecycle import gates
from epochkit.review.panel import gate_panel
from epochkit.core.settings import load_settings
from epochkit.lifecycle.run import begin
number = int(Path("number.txt").read_text())
settings = load_settings().model_copy(update={"gate_modules": ()})
gates.CHECKS, gates.load_rooms = {}, lambda *_: None
def enough_rows(context):
    rows = context.json("plan.json")["rows"]
    return gates.verdict(rows >= 1000, rows, 1000, "rows in the source")
gates.gate_check(number, "enough rows")(enough_rows)
gates.gate_check(number, "goal")(lambda context: gates.verdict(True, 1, 1))
# %%
run = begin(number, settings)
run.output(run.folder / "plan.json", evidence=True).write_text(json.dumps({"rows": int(Path("rows.txt").read_text())}))
# %%
run.finish()
gate_panel(run)
'''
SUSPECTS = [{"column": "duration", "severity": "critical", "check": "dominant", "also": [], "evidence": {"probe": 0.8214, "others_together": 0.7912},
             "reason": "alone it predicts better (AUC 0.821) than all 19 other columns together (0.791), and its name speaks of an end or a result"},
            {"column": "row_id", "severity": "warning", "check": "key", "also": [], "evidence": {"probe": 0.7703},
             "reason": "a row number or key that predicts the target (AUC 0.770 alone): the rows are sorted or drift over time"}]
AUDITED_EPOCH = SMALL_EPOCH.replace("# %%\nrun.finish()", f'''audit = {{"on_leak": "drop", "suspects": {SUSPECTS!r}}}
run.output(run.artifacts / "leak_audit.json", evidence=True).write_text(json.dumps(audit))
# %%
run.finish()''')
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
LOOK = SMALL_EPOCH.split("# %%")[0] + "# %%\ngate_panel(settings, number)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "One server for all tests of this file; its folder holds the home, so that evidence can be opened"
    folder = tmp_path_factory.mktemp("lab")
    with jupyterlab(folder, EPOCH_HOME=str(folder / "home")) as lab:
        yield lab


@pytest.fixture
def home(lab):
    "An empty home, fresh kernels, and four notebooks: the real first epoch, a small one, one with leak suspects, and one that only looks"
    lab.forget_sessions()
    home = lab.folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    (home / EPOCHS[0].folder).mkdir(parents=True)
    (home / EPOCHS[0].folder / "project_brief.toml").write_text(DIABETES_BRIEF, encoding="utf-8")
    shutil.copy(ROOT / EPOCHS[0].folder / "notebooks" / "001_planning.ipynb", lab.folder)
    for name, text in (("small", SMALL_EPOCH), ("audited", AUDITED_EPOCH), ("look", LOOK)):
        cells = [nbformat.v4.new_code_cell(source.strip()) for source in text.split("# %%")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), lab.folder / f"{name}.ipynb")
    (lab.folder / "rows.txt").write_text("1310")
    (lab.folder / "number.txt").write_text("1")
    lab.use_theme("JupyterLab Light")
    return home


@pytest.fixture
def open_notebook(browser, lab):
    pages = []

    def open_it(name, **size):
        pages.append(lab.open(browser, f"{name}.ipynb", **size))
        return pages[-1]
    yield open_it
    for notebook in pages:
        notebook.page.close()


def state(home, number=1):
    return project_state(load_settings(home=home, env={}))[number - 1]


def decisions(home):
    return [event.data for event in Ledger(home / ".context").events("decision")]


def button(notebook, name):
    return notebook.page.get_by_role("button", name=name, exact=True)


def wait_for(notebook, text):
    notebook.page.wait_for_selector(f"{CARD} >> text={text}", timeout=20_000)


def show_card(notebook):
    notebook.page.evaluate(f"document.querySelector('{CARD}').scrollIntoView()")
    notebook.page.wait_for_timeout(300)


def tick_all(notebook):
    for box in notebook.page.locator(f"{FORM} input[type=checkbox]").all():
        box.check()


def enabled(notebook, name):
    notebook.page.wait_for_function("name => [...document.querySelectorAll('.kit.form button')].some(b => b.innerText.trim() === name && !b.disabled)", arg=name)


def test_a_person_reads_the_evidence_and_approves_the_real_plan(home, open_notebook):
    notebook = open_notebook("001_planning", height=1500)
    notebook.run_all(FORM)
    page = notebook.page
    assert button(notebook, "Approve").is_disabled() and button(notebook, "Reject").is_disabled()
    show_card(notebook)
    notebook.shot("gate_light_1280")
    page.locator(f"{CARD} a", has_text="project_plan.json").click()
    page.wait_for_selector(".lm-TabBar-tab.jp-mod-current >> text=project_plan.json", timeout=20_000)
    page.wait_for_selector(".jp-MimeDocument:visible >> text=budget", timeout=20_000)
    notebook.shot("gate_evidence_opened")
    page.locator(".lm-TabBar-tab", has_text="001_planning.ipynb").first.click()
    tick_all(notebook)
    page.get_by_label("Comment").fill("The plan is sound.")
    enabled(notebook, "Approve")
    page.locator(FORM).scroll_into_view_if_needed()
    notebook.shot("gate_form_ready")
    button(notebook, "Approve").click()
    wait_for(notebook, "Receipt: event")
    show_card(notebook)
    notebook.shot("gate_light_approved")
    decision = decisions(home)[-1]
    assert (decision["decision"], decision["provenance"], decision["comment"]) == ("approved", "widget", "The plan is sound.")
    assert decision["criteria"] == list(REVIEW[1]) and any(item["path"].endswith("risk_matrix.png") for item in decision["evidence"])
    assert state(home).state == "done"


def test_the_panel_by_keyboard(home, open_notebook):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    page = notebook.page
    first = page.locator(f"{FORM} input[type=checkbox]").first
    first.scroll_into_view_if_needed()
    first.focus()
    for _ in REVIEW[1]:
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == approvals.default_reviewer(load_settings(home=home, env={}))
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.keyboard.type("two lines")
    enabled(notebook, "Approve")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").strip() == "Approve"
    notebook.shot("gate_keyboard_focus")
    page.keyboard.press("Enter")
    wait_for(notebook, "Receipt: event")
    assert decisions(home)[-1]["comment"] == "by keyboard\ntwo lines" and page.locator(".jp-Notebook .jp-mod-selected").count() == 1


def test_request_changes_then_decide_again(home, open_notebook):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    notebook.page.get_by_label("Comment").fill("Add a risk <b>about</b> drift")
    enabled(notebook, "Request changes")
    button(notebook, "Request changes").click()
    wait_for(notebook, "Changes requested by")
    assert decisions(home)[-1]["decision"] == "changes requested" and state(home).state == "rejected"
    assert notebook.page.locator(f"{CARD} .bar b b").count() == 0
    show_card(notebook)
    notebook.shot("gate_changes_requested")
    button(notebook, "Decide again").click()
    notebook.page.wait_for_selector(f"{FORM} textarea:visible")
    tick_all(notebook)
    enabled(notebook, "Approve")
    button(notebook, "Approve").focus()
    notebook.page.keyboard.press("Space")
    wait_for(notebook, "Approved by")
    assert [decision["decision"] for decision in decisions(home)] == ["changes requested", "approved"] and state(home).state == "done"


@pytest.fixture
def third_epoch(home, lab, monkeypatch):
    "Epochs 001 and 002 are done, the notebooks run epoch 003"
    monkeypatch.setattr(gates, "CHECKS", {})
    monkeypatch.setattr(gates, "load_rooms", lambda *_: None)
    settings = load_settings(home=home, env={}).model_copy(update={"gate_modules": ()})
    for number in (1, 2):
        gates.gate_check(number, "goal")(lambda context: gates.verdict(True, 1, 1))
        before = begin(number, settings)
        before.output(before.folder / "plan.json", evidence=True).write_text("{}")
        before.finish()
        if number == 1:
            record_decision(settings, 1, "approved", "ada", criteria=REVIEW[1])
    (lab.folder / "number.txt").write_text("3")
    return settings


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_leak_suspect_is_restored_with_a_written_reason(home, lab, open_notebook, third_epoch, theme):
    lab.use_theme(theme)
    shade = theme.split()[-1].lower()
    notebook = open_notebook("audited", height=1400)
    notebook.run_all(FORM)
    wait_for(notebook, "Leak suspects: 1 left out, 1 to ask about")
    page = notebook.page
    tick_all(notebook)
    enabled(notebook, "Approve")
    page.get_by_label("Restore because").fill("too short")
    page.wait_for_selector("text=Approve still needs a longer reason to restore 'duration'")
    assert button(notebook, "Approve").is_disabled() and "19 other columns" in page.locator(FORM).inner_text()
    show_card(notebook)
    notebook.shot(f"gate_leak_suspect_{shade}")
    page.locator(FORM).scroll_into_view_if_needed()
    page.get_by_label("Restore because").fill("The second call is planned after the first")
    enabled(notebook, "Approve")
    notebook.shot(f"gate_leak_form_{shade}")
    button(notebook, "Approve").click()
    wait_for(notebook, "Leak suspects: 1 restored, 1 to ask about")
    show_card(notebook)
    notebook.shot(f"gate_leak_restored_{shade}")
    assert decisions(home)[-1]["restored"] == {"duration": "The second call is planned after the first"} == restored_columns(third_epoch)


def test_reject_and_return_to_an_earlier_epoch(home, lab, open_notebook, third_epoch):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    notebook.page.get_by_label("Comment").fill("The target is wrong")
    notebook.page.get_by_label("and return to").select_option(label="epoch 001 · Research and planning")
    enabled(notebook, "Reject")
    button(notebook, "Reject").click()
    wait_for(notebook, "Back to epoch 001")
    show_card(notebook)
    notebook.shot("gate_rejected")
    assert decisions(home)[-1]["return_to"] == 1 and [state(home, number).state for number in (1, 2, 3)] == ["stale", "stale", "rejected"]


def test_a_failing_check_is_waived_with_a_written_reason(home, lab, open_notebook):
    (lab.folder / "rows.txt").write_text("812")
    notebook = open_notebook("small", height=1200)
    notebook.run_all(FORM)
    wait_for(notebook, "Blocked.")
    tick_all(notebook)
    notebook.page.get_by_label("Waive because").fill("too short")
    notebook.page.wait_for_selector("text=Approve still needs a reason for 'enough rows'")
    assert button(notebook, "Approve").is_disabled()
    show_card(notebook)
    notebook.shot("gate_failing_check")
    notebook.page.get_by_label("Waive because").fill("A pilot: 812 rows are enough")
    enabled(notebook, "Approve")
    button(notebook, "Approve").click()
    wait_for(notebook, "1 waived")
    show_card(notebook)
    notebook.shot("gate_waived")
    assert decisions(home)[-1]["waivers"] == {"enough rows": "A pilot: 812 rows are enough"} and state(home).waived == ("enough rows",)


def test_the_decision_is_there_after_a_restart_and_in_a_reopened_notebook(home, lab, open_notebook):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    tick_all(notebook)
    enabled(notebook, "Approve")
    button(notebook, "Approve").click()
    wait_for(notebook, "Receipt: event")
    receipt = decisions(home)[-1]
    notebook.restart()
    notebook.run_all(CARD)
    wait_for(notebook, "Approved by")
    assert decisions(home) == [receipt] and button(notebook, "Decide again").is_visible() and not button(notebook, "Approve").is_visible()
    notebook.save()
    notebook.page.close()
    lab.forget_sessions()
    again = open_notebook("small")
    again.wait_idle()
    wait_for(again, "Receipt: event")
    again.page.wait_for_timeout(1_000)
    show_card(again)
    again.shot("gate_reopened")
    size, words = dead_form(again)
    assert size == "0px" and words == "none" and not button(again, "Approve").count()
    assert form_copy(lab, "small") == "The decision stands (approved). Run this cell to decide anew."


def dead_form(notebook):
    "How the form of a kernel that is gone is shown: size of JupyterLab's own 'model not found', and the sentence in its place"
    return notebook.page.locator(".jp-OutputArea:has(.kit) .jupyter-widgets").last.evaluate(
        "node => [getComputedStyle(node).fontSize, getComputedStyle(node, '::after').content]")


def form_copy(lab, name):
    "The text of the HTML that the saved notebook holds beside the form's widget"
    outputs = [output for cell in nbformat.read(lab.folder / f"{name}.ipynb", 4).cells for output in cell.get("outputs", [])]
    copies = [output.data["text/html"] for output in outputs if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]
    return re.sub("<[^>]+>", "", copies[-1]).strip()


def test_a_reopened_notebook_asks_for_a_run_only_while_a_decision_is_due(home, lab, open_notebook):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    notebook.save()
    notebook.page.close()
    lab.forget_sessions()
    again = open_notebook("small")
    again.wait_idle()
    wait_for(again, "Pending: a person decides")
    again.page.wait_for_timeout(1_000)
    show_card(again)
    again.shot("gate_reopened_due")
    size, words = dead_form(again)
    assert size == "0px" and "run this cell" in words and form_copy(lab, "small") == "A decision is due: run this cell to decide."
    assert "as of event" in again.page.locator(CARD).inner_text()


def test_a_cell_that_runs_before_those_above_says_so(home, open_notebook):
    notebook = open_notebook("small")
    notebook.wait_idle()
    last = notebook.page.locator(".jp-CodeCell").last
    last.locator(".cm-content").click()
    notebook.page.keyboard.press("Control+Enter")
    last.locator(".jp-RenderedText >> text=Run the cells above first.").wait_for(timeout=60_000)
    said = last.locator(".jp-OutputArea").inner_text()
    assert "'run' comes from a cell above" in said and "run = begin(number, settings)" in said and "Traceback" not in said
    notebook.shot("out_of_order")
    last.locator(".cm-content").evaluate("node => node.focus()")
    notebook.page.keyboard.press("Control+a")
    notebook.page.keyboard.type("rum.finish()")
    notebook.page.keyboard.press("Control+Enter")
    last.locator(".jp-OutputArea >> text=name 'rum' is not defined").first.wait_for(timeout=60_000)
    assert "Traceback" in last.locator(".jp-OutputArea").inner_text()


def test_evidence_that_changed_voids_the_decision(home, lab, open_notebook):
    notebook = open_notebook("small")
    notebook.run_all(FORM)
    tick_all(notebook)
    enabled(notebook, "Approve")
    plan = home / EPOCHS[0].folder / "plan.json"
    kept = plan.read_text()
    plan.write_text('{"rows": 2000}')
    button(notebook, "Approve").click()
    notebook.page.wait_for_selector(f"{FORM} >> text=Nothing was recorded", timeout=20_000)
    assert decisions(home) == []
    plan.write_text(kept)
    button(notebook, "Approve").click()
    wait_for(notebook, "Receipt: event")
    plan.write_text('{"rows": 2000}')
    lab.use_theme("JupyterLab Dark")
    look = open_notebook("look", width=1920, height=1080)
    look.run_all(CARD)
    wait_for(look, "Stale.")
    look.shot("gate_stale_dark_1920")
    assert "plan.json changed" in look.page.locator(CARD).inner_text() and not button(look, "Approve").is_visible()


def test_the_panel_in_the_dark_theme(home, lab, open_notebook):
    lab.use_theme("JupyterLab Dark")
    (lab.folder / "rows.txt").write_text("812")
    notebook = open_notebook("small", width=1920, height=1200)
    notebook.run_all(FORM)
    tick_all(notebook)
    show_card(notebook)
    notebook.shot("gate_dark_1920")
    assert notebook.page.evaluate("document.body.dataset.jpThemeLight") == "false"
    colours = notebook.page.evaluate("['.kit.gate h3', '.kit.form:not(.brief) .widget-label'].map(s => getComputedStyle(document.querySelector(s)).color)")
    assert colours == ["rgb(238, 242, 244)", "rgb(200, 205, 208)"]


def settled(page):
    "The script has run, and what it drew is there"
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
    page.wait_for_selector(".ui.masthead", timeout=60_000)
    page.wait_for_timeout(400)


def shown(page, name):
    "A page of the app as it fits its window: a picture, no exception, nothing wider than the window, the mark once"
    settled(page)
    width = page.viewport_size["width"]
    page.screenshot(path=SHOTS / f"app_{name}_{width}.png", full_page=True)
    assert page.locator("[data-testid=stException]").count() == 0, name
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert page.get_by_text("No person has approved this model", exact=True).count() == 1, name
    assert page.get_by_text("Deploy", exact=True).count() == 0, name


@pytest.fixture(scope="module")
def web_app(finished_home):
    from epochkit.serving.app import start_app
    with start_app(load_settings(home=finished_home, env={}), stage="Production") as server:
        yield server


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_every_page_of_the_app_fits_its_window(browser, web_app, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    outside = []
    inside = (web_app.url, web_app.url.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: outside.append(request.url) if not request.url.startswith(inside) else None)
    for name in ("", *APP_PAGES):
        page.goto(f"{web_app.url}/{name}")
        shown(page, name or "overview")
        top = page.locator("h2, .stDownloadButton").first.bounding_box()
        assert top["y"] < 420, name  # head and marks leave the first screen to the page
    assert outside == []
    page.close()


def test_a_visitor_predicts_explains_and_goes_on(browser, web_app):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{web_app.url}/predict")
    settled(page)
    page.get_by_role("spinbutton", name="Income per month").fill("30")
    page.get_by_role("spinbutton", name="Income per month").press("Tab")
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector(".answer.card .value", timeout=30_000)
    shown(page, "answered")
    assert page.locator(".answer.card").bounding_box()["y"] < 800
    assert "Income per month = 30 (typical:" in page.locator(".stMainBlockContainer").inner_text()
    page.get_by_role("button", name="Explain this answer").click()
    page.wait_for_selector(".ui.waterfall", timeout=30_000)
    shown(page, "explained")
    page.get_by_role("link", name="Predict", exact=True).click()
    page.wait_for_selector(".answer.card .value", timeout=30_000)
    settled(page)
    assert page.get_by_role("spinbutton", name="Income per month").input_value() == "30"
    page.close()


def test_a_visitor_has_a_dirty_table_answered(browser, web_app, finished_home):
    rows = [column["example"] for column in served_bundle(load_settings(home=finished_home, env={})).input_schema]
    names = [column["name"] for column in served_bundle(load_settings(home=finished_home, env={})).input_schema]
    good = [*map(str, rows), "=1+1"]
    bad = ["a lot" if name == "Income" else value for name, value in zip([*names, "id"], good)]
    table = "\n".join(";".join(line) for line in ([*names, "id"], good, bad, good))
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{web_app.url}/batch")
    settled(page)
    page.locator("input[type=file]").set_input_files({"name": "dirty.csv", "mimeType": "text/csv", "buffer": table.encode()})
    page.wait_for_selector("text=Faulty cells: 1 in 1 row", timeout=30_000)
    shown(page, "dirty_table")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the answers").click()
    answers = download.value.path().read_text()
    assert answers.count("'=1+1") == 3 and answers.count("a lot") == 1 and len(answers.splitlines()) == 4
    page.close()
