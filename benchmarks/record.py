"""Times the record at the size of a long project: 10,000 events, 200 evidence files of 1 MB; prints a table and writes record.json beside it.

    .venv/bin/python benchmarks/record.py
    .venv/bin/python benchmarks/record.py --events 1000 --files 20    a quick look
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from epochkit.core.files import sha256_of
from epochkit.core.settings import EPOCHS, Settings, load_settings
from epochkit.record.ledger import Ledger
from epochkit.record.views import write_views
from epochkit.lifecycle.state import project_state, require_done_before
from epochkit.lifecycle.verify import check_record

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))


def cpu_seconds() -> float:
    "CPU seconds of this process and its finished children"
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def timed(action: Callable[[], object], times: int) -> dict[str, float]:
    "Milliseconds of the first call, median and worst of the later ones, and CPU milliseconds of one, which a busy machine changes little"
    taken, cpu = [], 0.0
    for number in range(times + 1):
        start, cpu = time.perf_counter(), cpu_seconds() if number == 1 else cpu
        action()
        taken.append((time.perf_counter() - start) * 1000)
    return {"first_ms": round(taken[0], 2), "median_ms": round(statistics.median(taken[1:]), 2), "worst_ms": round(max(taken[1:]), 2),
            "cpu_ms": round((cpu_seconds() - cpu) * 1000 / times, 2)}


def finish_epochs(settings: Settings, ledger: Ledger, files: int) -> None:
    "Seven finished and decided epochs that together hand over `files` files of 1 MB, all evidence"
    for epoch in EPOCHS[:7]:
        folder = settings.artifacts(epoch.number)
        folder.mkdir(parents=True, exist_ok=True)
        outputs = {}
        for number in range(epoch.number - 1, files, 7):
            path = folder / f"evidence{number:03d}.bin"
            path.write_bytes(os.urandom(1_000_000))
            outputs[settings.relative(path)] = {"sha256": sha256_of(path), "bytes": 1_000_000}
        checks = [{"name": "invented", "result": "pass", "observed": 1, "limit": 1, "reason": ""}]
        ledger.append("epoch_started", {"run": "bench", "parameters": {}, "pid": 1, "host": "bench"}, epoch=epoch.number)
        ledger.append("epoch_finished", {"run": "bench", "parameters": {}, "inputs": {}, "outputs": outputs, "evidence": list(outputs),
                                         "code": {}, "seconds": 1.0, "peak_mb": 1.0, "gate": {"passed": True, "checks": checks}},
                      epoch=epoch.number)
        if epoch.human_gate:
            evidence = [{"path": path, "sha256": facts["sha256"]} for path, facts in outputs.items()]
            ledger.append("decision", {"gate": epoch.number, "decision": "approved", "reviewer": "ada", "comment": "", "criteria": [],
                                       "checks": checks, "evidence": evidence, "waivers": {}, "return_to": None,
                                       "provenance": "bench", "git_commit": None}, epoch=epoch.number)


def long_record(settings: Settings, events: int, files: int) -> Ledger:
    "A record of so many events, written without waiting for the disk"
    ledger = Ledger(settings.context_root, actor="bench")
    real_fsync, os.fsync = os.fsync, lambda descriptor: None
    try:
        for number in range(events // 2):
            ledger.append("warning", {"run": "bench", "text": f"column {number} has {number % 100} % missing values"}, epoch=2)
        finish_epochs(settings, ledger, files)
        for number in range(events - events // 2):
            ledger.append("transformation", {"run": "bench", "step": f"chunk {number}", "inputs": ["a.parquet"], "outputs": ["b.parquet"],
                                             "rows": 10_000}, epoch=2)
        write_views(ledger)
    finally:
        os.fsync = real_fsync
    return ledger


def verify_as_a_process(home: Path) -> None:
    "`epoch verify`, which must find nothing wrong but that the gates of these invented epochs do not pass when computed"
    done = subprocess.run([EPOCH, "verify"], capture_output=True, text=True, cwd=ROOT, env={**os.environ, "EPOCH_HOME": str(home)})
    assert done.returncode == 1, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the record.")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    results: dict[str, object] = {"machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]}, "events": options.events,
                                  "files_of_1_MB": options.files}
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder) / "home")
        ledger = long_record(settings, options.events, options.files)
        results["ledger_mb"] = round(ledger.path.stat().st_size / 1e6, 2)
        results["append"] = timed(lambda: ledger.append("warning", {"run": "bench", "text": "one more"}, epoch=2), 200)
        results["read and check all events"] = timed(lambda: Ledger(settings.context_root).events(), 5)
        results["write views"] = timed(lambda: write_views(ledger), 3)
        report = check_record(settings, gates=False)
        assert report.problems == [] and report.files == options.files, report
        results["verify, in process"] = timed(lambda: check_record(settings, gates=False), 2)
        results["epoch verify, whole process"] = timed(lambda: verify_as_a_process(settings.home), 2)
        time.sleep(2.1)  # a file's hash is only remembered once the file has rested for two seconds
        states = project_state(settings)[:7]
        assert all(state.state == "done" for state in states), states
        results["check before an epoch"] = timed(lambda: require_done_before(settings, 8), 5)
        results["state of all epochs"] = timed(lambda: project_state(settings), 5)
    (ROOT / "benchmarks" / "record.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, value in results.items():
        print(f"{name:30} {json.dumps(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
