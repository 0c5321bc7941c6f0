"""What comes after eight epochs: the service is called, the app is clicked, the monitor looks, and the way back is tried.

`make demo` ends with it; by hand: EPOCH_HOME=<a finished home> python tools/tour.py. All of it happens on this machine, by the commands that a
person would type. The rows are kept like those of any caller; the app is tried, and its rows carry the door `trial`. Exit code 1 when a step fails.
"""
import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import httpx2

from epochkit.core.errors import PipelineError
from epochkit.core.settings import Settings, load_settings
from epochkit.lifecycle.tracking import stage_holder
from epochkit.report.values import readable
from epochkit.serving.api import API_KEY_VARIABLE, serve_command
from epochkit.serving.app import start_app, try_app
from epochkit.serving.deployment import as_sent
from epochkit.serving.server import LocalServer, free_port, server_environment, start_server
from epochkit.serving.service import served_bundle
from epochkit.sources.catalog import open_source

BATCH, TRIED = 300, "make demo tries the way back and forth"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def epoch(*words: str) -> tuple[int, list[str]]:
    "Exit code of a command of `epoch`, and the lines that it says"
    done = subprocess.run([sys.executable, "-m", "epochkit.cli", *words], capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


class Tour:
    "The steps, with what came of each and how long it took"

    def __init__(self, settings: Settings):
        self.settings, self.table, self.key = settings, [], secrets.token_hex(16)
        self.bundle, self.id = served_bundle(settings), ""
        self.client = httpx2.Client(headers={"X-API-Key": self.key}, timeout=60, trust_env=False)

    def step(self, name: str, act: Callable[[], str]) -> None:
        "Takes a step and notes its seconds; what goes wrong in it is noted too, and the next one is taken"
        started = time.perf_counter()
        try:
            came = act()
            done = True
        except (PipelineError, httpx2.HTTPError, AssertionError, LookupError, OSError) as error:
            came, done = f"FAILED: {' '.join(str(error).split())[:200] or type(error).__name__}", False
        self.table.append((name, came, time.perf_counter() - started, done))
        print(f"{name}: {came}", flush=True)

    def serve(self) -> str:
        port = free_port()
        env = server_environment(self.settings, **{API_KEY_VARIABLE: self.key})
        self.server: LocalServer = start_server(serve_command(port), port, "/ready", env)
        return f"version {self.bundle.version} answers at {self.server.url}, with a key"

    def call(self) -> str:
        known = json.loads((self.settings.artifacts(7) / "deployment" / "known_row.json").read_text(encoding="utf-8"))
        refused = httpx2.post(f"{self.server.url}/predict", json=known["inputs"], trust_env=False)
        assert refused.status_code == 401, f"without a key the service answered {refused.status_code}"
        answer = self.client.post(f"{self.server.url}/predict", json=known["inputs"]).raise_for_status().json()
        name = "prediction" if known.get("probability") is None else "probability"
        assert abs(float(answer[name]) - float(known[name])) <= 1e-6 * max(1.0, abs(float(known[name]))), \
            "another answer than epoch 007 got"
        self.id = answer["prediction_id"]
        score = "" if answer["probability"] is None else f" ({readable(answer['probability'])})"
        return f"{readable(answer['prediction'])}{score}, as in epoch 007; id {self.id}; without the key: 401"

    def batch(self) -> str:
        plan = json.loads((self.settings.folder(1) / "project_plan.json").read_text(encoding="utf-8"))
        known = next(open_source(plan["data"]["source"], self.settings).chunks(50_000))
        drawn = known.sample(min(BATCH, len(known)), random_state=0)  # the first ones need not be like the rest
        rows = as_sent(drawn.reset_index(drop=True), self.bundle)
        rows = [row for row in rows if not any(row[column["name"]] is None for column in self.bundle.input_schema
                                               if not column["nullable"])]
        answers = self.client.post(f"{self.server.url}/predict/batch", json={"rows": rows}).raise_for_status().json()
        return f"{len(answers['predictions'])} rows of the source, by chance, in one request"

    def trace(self) -> str:
        code, lines = epoch("trace", self.id)
        assert code == 0 and lines, " ".join(lines)
        return f"{len(lines)} lines, from this answer to '{lines[-1]}'"

    def click(self) -> str:
        row = {column["name"]: column["example"] for column in self.bundle.input_schema}
        if CHROMIUM is None or not _has_playwright():
            tried = try_app(self.settings, [row], "Production")
            assert not tried["exceptions"] and tried["answers"][0], "; ".join(tried["exceptions"] + tried["messages"])
            return f"no Chromium here, so without one: {readable(tried['answers'][0]['prediction'])}"
        with start_app(self.settings, stage="Production") as app:
            return f"'{_clicked(app.url)}' after Predict was clicked in Chromium, at {app.url}/predict"

    def watch(self) -> str:
        code, lines = epoch("monitor", "--door", "batch")
        assert code == 0 and lines, " ".join(lines)
        return next((line for line in lines if not line.startswith(" ")), "")

    def back_and_forth(self) -> str:
        out = stage_holder(self.settings, "Production")
        code, lines = epoch("rollback", "--reason", TRIED)
        words = " ".join(lines)
        if code == 1 and (named := re.search(r"'epoch rollback --to (\S+)'", words)):  # an earlier tour came back from there
            code, lines = epoch("rollback", "--to", named[1], "--reason", TRIED)
        elif code == 1 and "no other version held Production" in words:
            return f"refused, as it must be: version {out} is the first; the next 'epoch run all' after a change makes a second"
        assert code == 0, " ".join(lines)
        back = stage_holder(self.settings, "Production")
        seconds = [self._until(back)]
        code, lines = epoch("rollback", "--to", out, "--reason", TRIED)
        assert code == 0, " ".join(lines)
        seconds.append(self._until(out))
        return f"version {out} → {back} → {out}; the running service took over after {seconds[0]:.1f} and {seconds[1]:.1f} s"

    def _until(self, version: str, wait_s: float = 30) -> float:
        "Seconds until the running service answers with this version"
        started = time.perf_counter()
        while time.perf_counter() - started < wait_s:
            if httpx2.get(f"{self.server.url}/health", trust_env=False).json()["model_version"] == version:
                return time.perf_counter() - started
            time.sleep(0.1)
        raise AssertionError(f"the service did not take version {version} within {wait_s:g} s")


def _has_playwright() -> bool:
    try:
        import playwright.sync_api  # noqa: F401, a package for work on the kit
    except ImportError:
        return False
    return True


def _clicked(url: str) -> str:
    "What the app answers to a person who opens the page of a prediction and clicks the button"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{url}/predict")
        page.get_by_role("button", name="Predict").click(timeout=60_000)
        answer = page.locator(".answer.card .value").first
        answer.wait_for(timeout=60_000)
        text = answer.inner_text()
        browser.close()
    return " ".join(text.split())


def main() -> int:
    tour = Tour(load_settings())
    print("\nWhat comes after the eight epochs:", flush=True)
    tour.step("serve", tour.serve)
    if hasattr(tour, "server"):
        with tour.server:
            for name, act in (("call", tour.call), ("batch", tour.batch), ("trace", tour.trace), ("app", tour.click),
                              ("monitor", tour.watch), ("rollback", tour.back_and_forth)):
                tour.step(name, act)
    print(f"\n{'step':10}{'seconds':>8}  what came of it\n" + "-" * 110)
    for name, came, seconds, _ in tour.table:
        print(f"{name:10}{seconds:8.1f}  {came}")
    print(f"{'':10}{sum(row[2] for row in tour.table):8.1f}")
    return 0 if all(row[3] for row in tour.table) else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except PipelineError as error:
        print(f"tour: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
