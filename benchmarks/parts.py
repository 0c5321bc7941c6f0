"""Where the demo's eight epochs spend their CPU: imports, compute, figures, pages, MLflow, gates, record; writes parts.json.

    .venv/bin/python benchmarks/parts.py [--trials 30]

Every Python process of a run (runner, kernel, workers) looks a hundred times a second at what its main thread is in and books
the CPU time of the process since the last look there: on the innermost frame of a file that a part is known by, else on `compute`.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))
PARTS = {"imports": ["<frozen importlib._bootstrap"], "figures": ["/matplotlib/", "/plotly/", "/kaleido/", "report/figures.py"],
         "pages": ["report/pages.py", "report/templates.py", "/jinja2/", "/nbformat/"], "MLflow": ["/mlflow/", "lifecycle/tracking.py"],
         "gates": ["_gate.py", "/gate.py", "gate_checks.py", "lifecycle/gates.py", "epochkit/review/"],
         "record": ["epochkit/record/", "lifecycle/state.py", "lifecycle/facts.py", "core/files.py"]}
WATCH = '''
import collections, json, os, sys, threading, time

def book(parts, folder):
    spent, main, kind = collections.Counter(), threading.main_thread().ident, "runner"
    before, written = time.process_time(), time.monotonic()
    spent["start"] = before
    while threading.main_thread().is_alive():
        time.sleep(0.01)
        frame, part = sys._current_frames().get(main), "compute"
        while frame is not None and part == "compute":
            name = frame.f_code.co_filename
            part = next((part for part, marks in parts.items() if any(mark in name for mark in marks)), part)
            frame = frame.f_back
        now = time.process_time()
        spent[part] += now - before
        before = now
        if time.monotonic() - written > 0.5:
            written = time.monotonic()
            write(spent, folder)
    write(spent, folder)

def write(spent, folder):
    asked = " ".join(sys.orig_argv)
    kind = "kernel" if "ipykernel" in asked else "runner" if "epoch run" in asked else "workers"
    with open(f"{folder}/{os.getpid()}.tmp", "w") as file:
        json.dump([kind, spent], file)
    os.replace(f"{folder}/{os.getpid()}.tmp", f"{folder}/{os.getpid()}.json")

threading.Thread(target=book, args=(json.loads(os.environ["BENCHMARK_PARTS"]), os.environ["BENCHMARK_FOLDER"]), daemon=True).start()
'''


def booked(folder: Path) -> dict[str, dict[str, float]]:
    "Kind of process -> part -> CPU s"
    kinds: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for path in folder.glob("*.json"):
        kind, spent = json.loads(path.read_text(encoding="utf-8"))
        kinds[kind].update(spent)
    return {kind: {part: round(seconds, 2) for part, seconds in spent.most_common()} for kind, spent in sorted(kinds.items())}


def measured(number: int, home: Path, options: list[str]) -> dict[str, object]:
    "Wall and CPU s of one epoch, and the parts"
    with tempfile.TemporaryDirectory() as place:
        watch, folder = Path(place) / "watch", Path(place) / "booked"
        watch.mkdir(), folder.mkdir()
        (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        environment = {**os.environ, "EPOCH_HOME": str(home), "PYTHONPATH": str(watch), "BENCHMARK_FOLDER": str(folder),
                       "BENCHMARK_PARTS": json.dumps(PARTS)}
        before, began = os.times(), time.perf_counter()
        subprocess.run([EPOCH, "run", str(number), "--unattended", "benchmark", *options], check=True, capture_output=True, cwd=ROOT, env=environment)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(cpu, 1), "parts": booked(folder)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Book the CPU of the demo's epochs on their parts.")
    parser.add_argument("--trials", type=int, help="instead of the demo's own number")
    given, found = parser.parse_args(), {}
    brief = ROOT / "epoch001-research-analysis-planning" / "project_brief.toml"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        for number in range(1, 9):
            trials = ["-p", f"tuning_trials={given.trials}"] if given.trials and number == 5 else []
            found[f"{number:03d}"] = measured(number, home, ["--brief", str(brief)] if number == 1 else trials)
            print(number, json.dumps(found[f"{number:03d}"]), flush=True)
    kept = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "trials": given.trials, "epochs": found}
    (ROOT / "benchmarks" / "parts.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
