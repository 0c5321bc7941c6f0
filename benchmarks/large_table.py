"""Runs epochs 001 to 005 on a table of N rows x 20 (the one of cleaning.py): CPU s, s and MB of each epoch; writes large_table.json.

    .venv/bin/python benchmarks/large_table.py --rows 5000000 --name after

CPU s and MB are of `epoch run` with everything it starts, memory added up four times a second, so that shared pages count more than once;
`recorded_mb` is what the record says of the epoch's own kernel. Every row is kept (`on_oversize` at its default). No person decides: the home is
a folder of its own. The target of this table is noise, so the gate of 005 does not pass, as it should not; what the epoch takes is measured all the same.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from cleaning import peak_of, write_csv  # noqa: E402

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
    if process.returncode and "gate 005 does not pass" not in said:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said[-800:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 1), "wall_s": round(time.perf_counter() - began, 1), "peak_mb": round(found["peak_mb"]),
            "load": round(os.getloadavg()[0], 1)}


def recorded_mb(home: Path) -> dict[int, float]:
    "Epoch -> peak MB as its record says"
    events = map(json.loads, (home / ".context" / "ledger.jsonl").read_text(encoding="utf-8").splitlines())
    return {event["epoch"]: event["data"]["peak_mb"] for event in events if event["kind"] == "epoch_finished"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a large table through epochs 001 to 005.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--name", default="after", help="under which the figures are kept")
    options = parser.parse_args()
    path, key = Path(__file__).with_suffix(".json"), f"{options.rows:,} rows"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        csv, brief, home = (Path(folder) / name for name in ("table.csv", "brief.toml", "home"))
        write_csv(csv, options.rows)
        brief.write_text(BRIEF.format(csv=csv), encoding="utf-8")
        environment = {**os.environ, "EPOCH_HOME": str(home), "TQDM_DISABLE": "1"}
        runs = {}
        for number in (1, 2, 3, 4, 5):
            command = ["epoch", "run", str(number), "--unattended", "measured", *(["--brief", str(brief)] if number == 1 else [])]
            runs[str(number)] = measured(command, environment)
            runs[str(number)]["recorded_mb"] = recorded_mb(home)[number]
            print(number, json.dumps(runs[str(number)]), flush=True)
    kept.setdefault(key, {"columns": 20, "cores": os.cpu_count()})[options.name] = runs
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
