"""Times invented data: rows per second and peak memory of `synthetic:` streams, and of epochs 001-002 on one; writes synthetic.json beside it.

    .venv/bin/python benchmarks/synthetic.py                     10 million rows x 20 columns, every domain, epochs on 1 million rows
    .venv/bin/python benchmarks/synthetic.py --rows 200000 --quick    a quick look, without the epochs
"""
import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))


def streamed(spec: str, results) -> None:
    "Reads a source to its end: rows, seconds, CPU seconds and memory of this process before and at its peak"
    from epochkit.sources.catalog import open_source
    source = open_source(spec, load_settings(env={}))
    source.head(10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu, rows = time.perf_counter(), time.process_time(), 0
    for chunk in source.chunks(10_000):
        rows += len(chunk)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    results.put({"spec": spec, "rows": rows, "columns": len(source.columns), "seconds": round(wall, 2), "cpu_seconds": round(cpu, 2),
                 "rows_per_s": round(rows / wall), "rows_per_cpu_s": round(rows / cpu), "mb_after_first_chunk": round(before),
                 "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)})


def in_a_process(spec: str) -> dict:
    "The measurement of one spec in a process of its own"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=streamed, args=(spec, results))
    process.start()
    found = results.get()
    process.join()
    return found


def epochs_on(spec: str, target: str) -> dict:
    "Seconds and peak memory of epochs 001 and 002 on a source, unattended"
    with tempfile.TemporaryDirectory() as folder:
        brief = Path(folder, "brief.toml")
        brief.write_text(f'[data]\nsource = "{spec}"\ntarget = "{target}"\n', encoding="utf-8")
        environment = {**os.environ, "EPOCH_HOME": str(Path(folder, "home"))}
        Path(folder, "home").mkdir()
        for number in ("1", "2"):
            command = [EPOCH, "run", number, "--unattended", "benchmark", *(["--brief", str(brief)] if number == "1" else [])]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            if done.returncode:
                return {"spec": spec, "failed": (done.stdout + done.stderr)[-2_000:]}
        shown = json.loads(subprocess.run([EPOCH, "status", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)
        return {"spec": spec} | {f"{row['epoch']:03d}": {"seconds": row["seconds"], "peak_mb": row["peak_mb"]} for row in shown["epochs"][:2]}


def main() -> int:
    from epochkit.synthetic.domains import DOMAINS
    parser = argparse.ArgumentParser(description="Time invented data.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--domain-rows", type=int, default=300_000)
    parser.add_argument("--quick", action="store_true", help="leave out the epochs")
    options = parser.parse_args()
    # 17 features, the id or the time, the group, and the target are 20 columns
    specs = [f"synthetic:loan_default?rows={options.rows}&features=18", "synthetic:like?source=demo%3Acredit&rows=300000",
             *(f"synthetic:{name}?rows={options.domain_rows}&features=17" for name in DOMAINS)]
    results: dict[str, object] = {"machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]}, "streams": []}
    for spec in specs:
        results["streams"].append(in_a_process(spec))
        print(json.dumps(results["streams"][-1]), flush=True)
    if not options.quick:
        results["epochs"] = epochs_on("synthetic:loan_default?rows=1000000&features=18", DOMAINS["loan_default"].target)
        print(json.dumps(results["epochs"]))
    (ROOT / "benchmarks" / "synthetic.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
