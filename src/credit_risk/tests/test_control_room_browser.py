"""The control room in a real JupyterLab, in a real Chromium: the board, a run by a button, a stop, and the pending gate."""
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from credit_risk.config import EPOCHS, load_settings
from credit_risk.ledger import Ledger
from credit_risk.local_server import free_port, start_server
from credit_risk.pipeline_state import project_state
from credit_risk.run_progress import left_behind, read_progress
from credit_risk.tests.conftest import DIABETES_BRIEF, EPOCH, ROOT

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


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "JupyterLab on a copy of the control room, with a home that holds a brief: (url of the notebook, home, the notebook)"
    folder = tmp_path_factory.mktemp("room")
    home, notebooks = folder / "home", folder / "nbs"
    (home / EPOCHS[0].folder).mkdir(parents=True)
    (home / EPOCHS[0].folder / "project_brief.toml").write_text(DIABETES_BRIEF, encoding="utf-8")
    notebooks.mkdir()
    shutil.copy(ROOT / "nbs" / "index.ipynb", notebooks)
    overrides = folder / "settings"
    overrides.mkdir()
    (overrides / "overrides.json").write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')
    token, port = secrets.token_hex(8), free_port()
    root = Path(os.path.commonpath([ROOT, folder]))
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **places, "EPOCH_HOME": str(home)}
    environment.pop("EPOCH_RUNNER", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", f"--notebook-dir={root}",
               f"--IdentityProvider.token={token}", f"--LabApp.app_settings_dir={overrides}"]
    with start_server(command, port, f"/api?token={token}", environment, wait_s=90) as server:
        place = (notebooks / "index.ipynb").relative_to(root).as_posix()
        yield lambda: f"{server.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{place}?reset&token={token}", home, notebooks / "index.ipynb"


def open_room(page, url):
    page.goto(url)
    page.wait_for_selector(".jp-Cell", timeout=60_000)
    page.wait_for_function("() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')", timeout=60_000)
    page.keyboard.press("Control+b")  # the file browser takes a third of the width
    page.click("text=Run")
    page.click(".lm-Menu-item[data-command='runmenu:run-all']")
    page.wait_for_selector(".room-live .room.card", timeout=60_000)


def save(page, notebook):
    "Saves, and waits until the file holds the live board: a page that is closed at once takes the request with it"
    page.keyboard.press("Control+s")
    end = time.monotonic() + 30
    while "application/vnd.jupyter.widget-view+json" not in notebook.read_text(encoding="utf-8"):
        assert time.monotonic() < end, "the notebook was not saved"
        page.wait_for_timeout(100)


def shot(page, name):
    page.wait_for_timeout(400)
    page.screenshot(path=SHOTS / f"{name}.png")


def use_theme(page, url, theme):
    base, token = url.split("/lab/")[0], url.split("token=")[1]
    done = page.request.put(f"{base}/lab/api/settings/@jupyterlab/apputils-extension:themes?token={token}",
                            headers={"Authorization": f"token {token}"}, data=json.dumps({"raw": json.dumps({"theme": theme})}))
    assert done.ok, done.text()


def end_sessions(page, url):
    base, token = url.split("/lab/")[0], url.split("token=")[1]
    headers = {"Authorization": f"token {token}"}
    for session in page.request.get(f"{base}/api/sessions", headers=headers).json():
        page.request.delete(f"{base}/api/sessions/{session['id']}", headers=headers)


def row(page, number):
    return page.locator(".room-live tbody tr").nth(number - 1)


def test_a_person_runs_an_epoch_opens_its_gate_and_approves(browser, lab):
    address, home, _ = lab
    settings = load_settings(home=home, env={})
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    open_room(page, address())
    assert page.locator(".room-saved").is_hidden() and page.locator(".room-live tbody tr").count() == 8
    assert page.get_by_role("button", name="Stop").is_disabled()
    shot(page, "room_start_1280")
    page.get_by_role("button", name="Run next").click()
    page.wait_for_selector(".room [role=progressbar][aria-valuenow]", timeout=60_000)
    shot(page, "room_running_1280")
    row(page, 1).get_by_text("awaiting review").wait_for(timeout=120_000)
    page.wait_for_selector("text=A person decides.", timeout=30_000)
    assert project_state(settings)[0].state == "awaiting review" and read_progress(settings) is None
    assert page.get_by_role("button", name="Run next").is_disabled()
    shot(page, "room_waiting_1280")
    page.get_by_role("button", name="Open gate 001").click()
    page.get_by_role("button", name="Approve").wait_for(timeout=20_000)
    page.set_viewport_size({"width": 1280, "height": 2400})
    shot(page, "room_gate_1280")
    for box in page.locator(".kit.form input[type=checkbox]").all():
        box.check()
    page.wait_for_function("() => ![...document.querySelectorAll('.kit.form button')].find(b => b.innerText == 'Approve').disabled")
    page.get_by_role("button", name="Approve").click()
    row(page, 1).get_by_text("approved").wait_for(timeout=20_000)
    shot(page, "room_approved_1280")
    decision = Ledger(settings.context_root).events("decision")[-1]
    assert decision.data["decision"] == "approved" and decision.data["provenance"] == "widget"
    assert not page.get_by_role("button", name="Run next").is_disabled()
    row(page, 1).get_by_role("link", name="Research and planning").click()
    page.locator(".lm-TabBar-tabLabel", has_text="001_planning.ipynb").wait_for(timeout=20_000)
    page.close()


def test_a_run_from_a_terminal_shows_up_and_can_be_stopped(browser, lab):
    address, home, notebook = lab
    settings = load_settings(home=home, env={})
    assert project_state(settings)[0].state == "done", "the test before this one approves epoch 001"
    page, url = browser.new_page(viewport={"width": 1920, "height": 1080}), address()
    use_theme(page, url, "JupyterLab Dark")
    open_room(page, url)
    shot(page, "room_start_1920_dark")
    runner = subprocess.Popen([*EPOCH, "run", "2"], env={**os.environ, "EPOCH_HOME": str(home)}, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    page.wait_for_selector(".room [role=progressbar][aria-valuenow]", timeout=60_000)
    row(page, 2).get_by_text("running").wait_for(timeout=60_000)
    shot(page, "room_running_1920_dark")
    page.get_by_role("button", name="Stop").click()
    assert runner.wait(30) == 1 and "stopped" in runner.communicate()[1]
    row(page, 2).get_by_text("stopped in").wait_for(timeout=20_000)
    shot(page, "room_stopped_1920_dark")
    assert project_state(settings)[1].state == "failed" and left_behind(settings) == []
    save(page, notebook)
    page.close()


def test_a_page_that_is_loaded_again_lives_on_and_a_new_kernel_shows_the_saved_board(browser, lab):
    address, _, _ = lab
    page, url = browser.new_page(viewport={"width": 1280, "height": 1000}), address()
    use_theme(page, url, "JupyterLab Light")
    page.goto(url)
    page.wait_for_selector(".room-live .room.card", timeout=60_000)
    page.get_by_role("button", name="Look again").click()
    row(page, 1).get_by_text("approved").wait_for(timeout=20_000)
    end_sessions(page, url)
    page.goto(address())
    page.wait_for_selector(".room-saved .room.card", timeout=60_000)
    assert page.locator(".room-saved tbody tr").count() == 8 and page.locator(".room-live").count() == 0
    shot(page, "room_reopened_1280")
    page.close()
