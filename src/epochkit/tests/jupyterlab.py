"""A real JupyterLab in a real Chromium, for tests in which a person works: one server, pages, the clicks of menus."""
import json
import os
import secrets
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epochkit.core.settings import find_project
from epochkit.lab.run_order import install_hook
from epochkit.serving.server import free_port, start_server
from epochkit.tests.conftest import ROOT

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
SHOTS = ROOT / "_shots"
THEMES = "@jupyterlab/apputils-extension:themes"


@contextmanager
def chromium() -> Iterator[object]:
    "A headless browser"
    from playwright.sync_api import sync_playwright
    SHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Lab:
    "A running JupyterLab that shows `folder`"

    def __init__(self, url: str, token: str, folder: Path):
        self.url, self.token, self.folder = url, token, folder

    def ask(self, method: str, path: str, data: object = None) -> object:
        "The answer of the server's own API"
        request = urllib.request.Request(f"{self.url}{path}", None if data is None else json.dumps(data).encode(), method=method,
                                         headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def forget_sessions(self) -> None:
        "Ends every kernel, so that the next page starts a fresh one"
        for session in self.ask("GET", "/api/sessions"):
            self.ask("DELETE", f"/api/sessions/{session['id']}")

    def use_theme(self, name: str) -> None:
        "`JupyterLab Light` or `JupyterLab Dark`, from the next page on"
        self.ask("PUT", f"/lab/api/settings/{THEMES}", {"raw": json.dumps({"theme": name})})

    def open(self, browser: object, notebook: str, width: int = 1280, height: int = 1000) -> "Notebook":
        "A page with the notebook, its kernel idle"
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{self.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?reset&token={self.token}")
        page.wait_for_selector(".jp-Cell", timeout=60_000)
        return Notebook(page)


class Notebook:
    "A notebook on a page of JupyterLab"

    def __init__(self, page: object):
        self.page = page

    def wait_idle(self) -> None:
        "Waits until a kernel has answered and rests (the status bar knows; the toolbar says idle too early)"
        self.page.wait_for_function("() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')", timeout=60_000)

    def menu(self, menu: str, command: str) -> None:
        "Chooses a command of a menu"
        self.page.locator(".lm-MenuBar-itemLabel", has_text=menu).first.click()
        self.page.click(f".lm-Menu-item[data-command='{command}']")

    def run_all(self, wait_for: str) -> None:
        "Runs every cell and waits for a selector"
        self.wait_idle()
        self.menu("Run", "runmenu:run-all")
        self.page.wait_for_selector(wait_for, timeout=120_000, state="attached")

    def restart(self) -> None:
        "Restarts the kernel; outputs stay"
        self.menu("Kernel", "kernelmenu:restart")
        self.page.click(".jp-Dialog button.jp-mod-accept")
        self.page.wait_for_selector(".jp-Dialog", state="detached")
        self.page.wait_for_timeout(300)
        self.wait_idle()

    def save(self) -> None:
        "Saves the notebook and waits until it is on disk"
        self.page.keyboard.press("Escape")
        self.menu("File", "docmanager:save")
        self.page.wait_for_function("() => !document.querySelector('.lm-TabBar-tab.jp-mod-current.jp-mod-dirty')", timeout=20_000)

    def shot(self, name: str) -> None:
        "Keeps what the window shows as a picture"
        self.page.screenshot(path=SHOTS / f"{name}.png")


@contextmanager
def jupyterlab(folder: Path, aside: Path | None = None, **environment: str) -> Iterator[Lab]:
    "JupyterLab serving `folder`; its own settings lie in `aside`, or beside that folder"
    aside = aside or folder.with_name(f"{folder.name}_jupyter")
    overrides = aside / "overrides"
    overrides.mkdir(parents=True)
    (overrides / "overrides.json").write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}')
    profile = aside / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    install_hook(aside / "environment").parent.rename(profile / "startup")  # what the wheel puts into an environment
    token, port = secrets.token_hex(8), free_port()
    places = {f"JUPYTER_{name}_DIR": str(aside / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **places, "JUPYTERLAB_SETTINGS_DIR": str(aside / "settings"),
                   "IPYTHONDIR": str(aside / "ipython"),
                   "EPOCH_PROJECT": str(find_project()), **environment}
    environment.pop("EPOCH_RUNNER", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", f"--notebook-dir={folder}",
               f"--IdentityProvider.token={token}", f"--LabApp.app_settings_dir={overrides}"]
    with start_server(command, port, f"/api?token={token}", environment, wait_s=90) as server:
        yield Lab(server.url, token, folder)
