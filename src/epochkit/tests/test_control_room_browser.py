"""The control room in a real JupyterLab, in a real Chromium: the board, a run by a button, a stop, and the pending gate."""
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from epochkit.core.settings import EPOCHS, load_settings
from epochkit.record.ledger import Ledger
from epochkit.lifecycle.state import project_state
from epochkit.runner.progress import left_behind, read_progress
from epochkit.tests.conftest import DIABETES_BRIEF, EPOCH, ROOT
from epochkit.tests.jupyterlab import CHROMIUM, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")]
LIVE = ".room-live .room.card"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    "JupyterLab on a copy of the control room, with a home that holds a brief: (lab, file of the notebook, home)"
    folder = tmp_path_factory.mktemp("room")
    home, notebooks = folder / "home", folder / "nbs"
    (home / EPOCHS[0].folder).mkdir(parents=True)
    (home / EPOCHS[0].folder / "project_brief.toml").write_text(DIABETES_BRIEF, encoding="utf-8")
    notebooks.mkdir()
    shutil.copy(ROOT / "nbs" / "index.ipynb", notebooks)
    served = Path(os.path.commonpath([ROOT, folder]))  # the board links to the notebooks of the project
    with jupyterlab(served, folder / "jupyter", EPOCH_HOME=str(home)) as lab:
        yield lab, notebooks / "index.ipynb", home


def open_room(browser, room, **size):
    lab, file, _ = room
    return lab.open(browser, file.relative_to(lab.folder).as_posix(), **size)


def run_room(browser, room, **size):
    "The control room on a page, its cell run"
    notebook = open_room(browser, room, **size)
    notebook.wait_idle()
    notebook.page.keyboard.press("Control+b")  # the file browser takes a third of the width
    notebook.run_all(LIVE)
    notebook.page.wait_for_selector(LIVE)
    return notebook


def shot(notebook, name):
    notebook.page.wait_for_timeout(400)
    notebook.shot(name)


def save(notebook, file):
    "Saves, and waits until the file holds the live board: a page that is closed at once takes the request with it"
    notebook.save()
    end, live = time.monotonic() + 30, False
    while not live:
        assert time.monotonic() < end, "the notebook was not saved"
        notebook.page.wait_for_timeout(100)
        outputs = [output for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] for output in cell.get("outputs", [])]
        live = any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)


def row(page, number):
    return page.locator(".room-live tbody tr").nth(number - 1)


def test_a_person_runs_an_epoch_opens_its_gate_and_approves(browser, room):
    settings = load_settings(home=room[2], env={})
    notebook = run_room(browser, room)
    page = notebook.page
    assert page.locator(".room-saved").is_hidden() and page.locator(".room-live tbody tr").count() == 8
    assert page.get_by_role("button", name="Stop").is_disabled()
    assert page.locator(".room-live").get_by_text("press Run next").is_visible() and page.locator(".room-live th", has_text="Seconds").count() == 0
    shot(notebook, "room_start_1280")
    page.get_by_role("button", name="Run next").click()
    page.wait_for_selector(".room [role=progressbar][aria-valuenow]", timeout=60_000)
    shot(notebook, "room_running_1280")
    row(page, 1).get_by_text("awaiting review").wait_for(timeout=120_000)
    page.wait_for_selector("text=A person decides.", timeout=30_000)
    assert page.locator(".room-live").get_by_text("press Open gate 001").is_visible()
    assert project_state(settings)[0].state == "awaiting review" and read_progress(settings) is None
    assert page.get_by_role("button", name="Run next").is_disabled()
    shot(notebook, "room_waiting_1280")
    page.get_by_role("button", name="Open gate 001").click()
    page.get_by_role("button", name="Approve").wait_for(timeout=20_000)
    page.set_viewport_size({"width": 1280, "height": 2400})
    shot(notebook, "room_gate_1280")
    for box in page.locator(".kit.form input[type=checkbox]").all():
        box.check()
    page.wait_for_function("() => ![...document.querySelectorAll('.kit.form button')].find(b => b.innerText == 'Approve').disabled")
    page.set_viewport_size({"width": 1280, "height": 480})  # the top of the form is out of sight
    page.get_by_role("button", name="Approve").scroll_into_view_if_needed()
    assert page.locator(".room .kit.form").bounding_box()["y"] < 0
    shot(notebook, "room_gate_ready_1280")
    page.get_by_role("button", name="Approve").click()
    receipt = page.locator(".room .kit.form .bar.pass")
    receipt.wait_for(timeout=20_000)
    page.wait_for_timeout(1_500)  # the card above is drawn anew meanwhile
    page.wait_for_function("""() => {
        const place = document.querySelector('.room .kit.form .bar.pass').getBoundingClientRect()
        return 0 < place.top && place.bottom < window.innerHeight
    }""", timeout=20_000)  # the receipt stands where the person looks: in the place of the buttons
    words = receipt.inner_text()
    assert "Approved by" in words and "Receipt: event" in words and "Next: run epoch 002, Data wrangling." in words
    shot(notebook, "room_receipt_1280")
    row(page, 1).get_by_text("approved").wait_for(timeout=20_000)
    shot(notebook, "room_approved_1280")
    decision = Ledger(settings.context_root).events("decision")[-1]
    assert decision.data["decision"] == "approved" and decision.data["provenance"] == "widget"
    assert not page.get_by_role("button", name="Run next").is_disabled()
    row(page, 1).get_by_role("link", name="Research and planning").click()
    page.locator(".lm-TabBar-tabLabel", has_text="001_planning.ipynb").wait_for(timeout=20_000)
    page.close()


def test_a_run_from_a_terminal_shows_up_and_can_be_stopped(browser, room):
    lab, file, home = room
    settings = load_settings(home=home, env={})
    assert project_state(settings)[0].state == "done", "the test before this one approves epoch 001"
    lab.use_theme("JupyterLab Dark")
    notebook = run_room(browser, room, width=1920, height=1080)
    page = notebook.page
    shot(notebook, "room_start_1920_dark")
    runner = subprocess.Popen([*EPOCH, "run", "2"], env={**os.environ, "EPOCH_HOME": str(home)}, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    page.wait_for_selector(".room [role=progressbar][aria-valuenow]", timeout=60_000)
    row(page, 2).get_by_text("running").wait_for(timeout=60_000)
    shot(notebook, "room_running_1920_dark")
    page.get_by_role("button", name="Stop").click()
    assert runner.wait(30) == 1 and "stopped" in runner.communicate()[1]
    row(page, 2).get_by_text("stopped in").wait_for(timeout=20_000)
    shot(notebook, "room_stopped_1920_dark")
    assert project_state(settings)[1].state == "failed" and left_behind(settings) == []
    save(notebook, file)
    page.close()


def test_a_page_that_is_loaded_again_lives_on_and_a_new_kernel_shows_the_saved_board(browser, room):
    lab = room[0]
    lab.use_theme("JupyterLab Light")
    page = open_room(browser, room).page
    page.wait_for_selector(LIVE, timeout=60_000)
    page.get_by_role("button", name="Look again").click()
    row(page, 1).get_by_text("approved").wait_for(timeout=20_000)
    page.close()
    lab.forget_sessions()
    notebook = open_room(browser, room)
    page = notebook.page
    page.wait_for_selector(".room-saved .room.card", timeout=60_000)
    assert page.locator(".room-saved tbody tr").count() == 8 and page.locator(".room-live").count() == 0
    shot(notebook, "room_reopened_1280")
    page.close()
