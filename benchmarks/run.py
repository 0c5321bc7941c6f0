"""Times the kit's own promises as whole processes, and the ledger; prints a table and writes results.json beside it.

    make bench            all of it (runs the demo once, some minutes)
    .venv/bin/python benchmarks/run.py --quick    without the demo
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from epochkit.core.settings import load_settings
from epochkit.record.ledger import Ledger

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))


def seconds_of(command: list[str], home: Path, times: int = 1) -> dict[str, float]:
    "Median and worst wall seconds of a command that must end with 0"
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "EPOCH_HOME": str(home)})
        taken.append(time.perf_counter() - start)
    return {"median_s": round(statistics.median(taken), 3), "worst_s": round(max(taken), 3), "runs": times}


def ledger_append(folder: Path, events: int = 10_000, timed: int = 200) -> dict[str, float]:
    "Median milliseconds of one append to a ledger that already holds `events`"
    ledger = Ledger(folder)
    for number in range(3):
        ledger.append("note", {"number": number})
    real_fsync, os.fsync = os.fsync, lambda descriptor: None
    try:
        for number in range(events):
            ledger.append("note", {"number": number})
    finally:
        os.fsync = real_fsync
    taken = []
    for number in range(timed):
        start = time.perf_counter()
        ledger.append("note", {"number": number})
        taken.append((time.perf_counter() - start) * 1000)
    start = time.perf_counter()
    ledger.events()
    return {"median_ms": round(statistics.median(taken), 3), "read_and_check_all_s": round(time.perf_counter() - start, 3), "events": events}


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the kit's promises.")
    parser.add_argument("--quick", action="store_true", help="leave out the demo")
    options = parser.parse_args()
    results: dict[str, object] = {"machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]}}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        results["import epochkit"] = seconds_of([sys.executable, "-X", "importtime", "-c", "import epochkit"], home, 5)
        results["python alone"] = seconds_of([sys.executable, "-c", "pass"], home, 5)
        results["epoch status, empty"] = seconds_of([EPOCH, "status"], home, 5)
        results["ledger append"] = ledger_append(Path(folder) / "ledger")
        if not options.quick:
            brief = ROOT / "epoch001-research-analysis-planning" / "project_brief.toml"
            results["demo, all eight epochs"] = seconds_of([EPOCH, "run", "all", "--brief", str(brief), "--unattended", "benchmark"], home)
            shown = subprocess.run([EPOCH, "status", "--json"], capture_output=True, text=True, env={**os.environ, "EPOCH_HOME": str(home)})
            results["epochs"] = {f"{row['epoch']:03d}": {"seconds": row["seconds"], "peak_mb": row["peak_mb"]}
                                 for row in json.loads(shown.stdout)["epochs"]}
            results["second run, nothing changed"] = seconds_of([EPOCH, "run", "all", "--unattended", "benchmark"], home, 3)
            results["epoch status, full"] = seconds_of([EPOCH, "status"], home, 5)
            results["epoch verify"] = seconds_of([EPOCH, "verify"], home)
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, value in results.items():
        print(f"{name:30} {json.dumps(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
