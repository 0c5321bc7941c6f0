"""A person at work, in a real Chromium: the approval panel in JupyterLab, and the app."""
import os
import secrets
import shutil
import sys

import pytest

from credit_risk.config import EPOCHS, load_settings
from credit_risk.ledger import Ledger
from credit_risk.local_server import free_port, start_server
from credit_risk.pipeline_state import project_state
from credit_risk.tests.conftest import DIABETES_BRIEF, ROOT

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
SHOTS = ROOT / "_shots"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    SHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path):
    "JupyterLab on a copy of the first epoch's notebook, with a home that holds a brief: (url of the notebook, home)"
    home, folder = tmp_path / "home", tmp_path / "work"
    (home / EPOCHS[0].folder).mkdir(parents=True)
    (home / EPOCHS[0].folder / "project_brief.toml").write_text(DIABETES_BRIEF, encoding="utf-8")
    folder.mkdir()
    shutil.copy(ROOT / EPOCHS[0].folder / "notebooks" / "001_planning.ipynb", folder)
    overrides = tmp_path / "settings"
    overrides.mkdir()
    (overrides / "overrides.json").write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')
    token, port = secrets.token_hex(8), free_port()
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **places, "EPOCH_HOME": str(home)}
    environment.pop("EPOCH_RUNNER", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", f"--notebook-dir={folder}",
               f"--IdentityProvider.token={token}", f"--LabApp.app_settings_dir={overrides}"]
    with start_server(command, port, f"/api?token={token}", environment, wait_s=90) as server:
        yield f"{server.url}/lab/workspaces/{secrets.token_hex(4)}/tree/001_planning.ipynb?reset&token={token}", home


def run_all_cells(page, url):
    page.goto(url)
    page.wait_for_selector(".jp-Cell", timeout=60_000)
    page.wait_for_function("() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')", timeout=60_000)
    page.click("text=Run")
    page.click(".lm-Menu-item[data-command='runmenu:run-all']")
    page.wait_for_selector(".gate-form", timeout=120_000, state="attached")
    page.locator(".gate-form").scroll_into_view_if_needed()


def test_a_person_approves_the_plan_in_jupyterlab(browser, lab):
    url, home = lab
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    run_all_cells(page, url)
    approve = page.get_by_role("button", name="Approve")
    assert approve.is_disabled()
    page.get_by_role("button", name="Reject and return").click()
    page.wait_for_selector("text=needs a comment")
    for box in page.locator(".gate-form input[type=checkbox]").all():
        box.check()
    page.get_by_placeholder("Required unless you approve").fill("The plan is sound.")
    page.wait_for_function("() => !document.querySelector('.gate-form .mod-success').disabled")
    page.locator(".gate h3").last.scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / "panel_before.png")
    page.set_viewport_size({"width": 1280, "height": 1700})
    page.locator(".jp-OutputArea-output").filter(has=page.locator(".gate-form")).last.screenshot(path=SHOTS / "panel.png")
    approve.click()
    page.wait_for_selector("text=Receipt: event", timeout=20_000)
    page.screenshot(path=SHOTS / "panel_after.png")
    decision = [event for event in Ledger(home / ".context").events() if event.kind == "decision"][-1]
    assert decision.data["decision"] == "approved" and decision.data["provenance"] == "widget"
    assert decision.data["comment"] == "The plan is sound." and len(decision.data["criteria"]) == 4
    assert project_state(load_settings(home=home, env={}))[0].state == "done"
    page.close()


def test_the_app_scores_a_row_in_a_browser(browser, finished_home):
    from credit_risk.app_utils import start_app
    settings = load_settings(home=finished_home, env={})
    with start_app(settings, stage="Production") as server:
        page = browser.new_page(viewport={"width": 1280, "height": 1300})
        outside = []
        page.on("request", lambda request: outside.append(request.url) if not request.url.startswith((server.url, server.url.replace("http", "ws"), "data:", "blob:")) else None)
        page.goto(server.url)
        page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
        page.wait_for_selector("text=No person has approved this model", timeout=30_000)
        page.screenshot(path=SHOTS / "app_start.png")
        page.get_by_role("button", name="Predict").first.click()
        page.wait_for_selector(".answer.card .value", timeout=30_000)
        page.wait_for_selector("[data-test-script-state=notRunning]", timeout=60_000)
        page.screenshot(path=SHOTS / "app_scored.png", full_page=True)
        assert page.locator("[data-testid=stException]").count() == 0
        assert outside == []
        page.close()
