"""Runs epochs 001 to 006 on a table of N rows x 20: CPU s, s and MB of each epoch; writes large_table.json.

    .venv/bin/python benchmarks/large_table.py --rows 5000000 --name after
    .venv/bin/python benchmarks/large_table.py --rows 20000000 --folder DIR --last 3     keeps table and home in DIR; a later
                                                                                       call goes on with what it lacks

CPU s and MB are of `epoch run` with everything it starts, memory added up five times a second, so that shared pages count more than once;
`recorded_mb` is what the record says of the epoch: the most that its kernel, or a process that keeps to the plan's memory for it, held. Every row is kept
(`on_oversize` at its default). No person decides: the home is a folder of its own. The table is that of cleaning.py, but for a target that goes
with `score`, so that the gate of 005 passes and 006 can be measured; "before" was measured with a target that goes with nothing.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from cleaning import block, peak_of, write_csv  # noqa: E402

BRIEF = ('[project]\nname = "large"\nuse_case = "measure a large table"\nobjective = "see what each epoch holds"\n[data]\nsource = "file:{csv}"\n'
         'target = "outcome"\npositive = "bad"\n[metric]\nminimum = 0.4\n[budget]\nmemory_gb = 12\ntuning_trials = 3\n')


def measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    "CPU s, s, MB and the load of one whole process and its children; SystemExit with what it said where it fails"
    import resource
    import threading
    import time
    before, began, found = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), {"peak_mb": 0.0}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    watch = threading.Thread(target=peak_of, args=(process, found))
    watch.start()
    said = process.communicate()[0]
    watch.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said[-800:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 1), "wall_s": round(time.perf_counter() - began, 1), "peak_mb": round(found["peak_mb"]),
            "load": round(os.getloadavg()[0], 1)}


def recorded_mb(home: Path) -> dict[int, float]:
    "Epoch -> peak MB as its record says"
    events = map(json.loads, (home / ".context" / "ledger.jsonl").read_text(encoding="utf-8").splitlines())
    return {event["epoch"]: event["data"]["peak_mb"] for event in events if event["kind"] == "epoch_finished"}


def block_with_signal(number: int, rows: int) -> "pyarrow.Table":
    "Rows of the file with a target that goes with `score`"
    import numpy as np
    import pyarrow as pa
    table, chance = block(number, rows), np.random.default_rng([8, number])
    bad = table["score"].to_numpy() + chance.normal(0, 3, rows) > 13
    words = np.array(["good", "good", "Good", "good ", "bad"])[np.where(bad, 4, chance.integers(0, 4, rows))]
    words[-(rows // 1_000):] = words[:rows // 1_000]
    return table.set_column(table.schema.get_field_index("outcome"), "outcome", pa.array(words))


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a large table through epochs 001 to 006.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--name", default="after", help="under which the figures are kept")
    parser.add_argument("--folder", help="keeps the table and the home here")
    parser.add_argument("--first", type=int, help="the first epoch to run, also again; else the one after those that are done")
    parser.add_argument("--last", type=int, default=6, help="the last epoch to run")
    options = parser.parse_args()
    path, key = Path(__file__).with_suffix(".json"), f"{options.rows:,} rows"
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(options.folder or passing)
        csv, brief, home = (folder / name for name in ("table.csv", "brief.toml", "home"))
        if not brief.is_file():
            write_csv(csv, options.rows, block_with_signal)
            brief.write_text(BRIEF.format(csv=csv), encoding="utf-8")
        environment = {**os.environ, "EPOCH_HOME": str(home), "TQDM_DISABLE": "1"}
        done = recorded_mb(home) if home.is_dir() else {}
        for number in range(options.first or max(done, default=0) + 1, options.last + 1):
            command = ["epoch", "run", str(number), "--unattended", "measured", *(["--brief", str(brief)] if number == 1 else []),
                       *(["--force"] if options.first else [])]
            run = measured(command, environment) | {"recorded_mb": recorded_mb(home)[number]}
            kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            kept.setdefault(key, {"columns": 20, "cores": os.cpu_count()}).setdefault(options.name, {})[str(number)] = run
            path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(number, json.dumps(run), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
