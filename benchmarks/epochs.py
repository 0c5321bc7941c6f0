"""Times the eight epochs on five tables: the timings that the estimates of epoch 001 stand on (cell "Timings of the kit" in nbs/27_estimates.ipynb).

    .venv/bin/python benchmarks/epochs.py          about 30 minutes on two quiet cores; writes epochs.json beside it
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))
TABLES = {"small": ("demo:credit", "Status", "all"), "long": ("synthetic:loan_default?rows=40000&features=20", "default", "all"),
          "wide": ("synthetic:house_prices?rows=3000&features=80", "price", "all"),
          "long, a number": ("synthetic:house_prices?rows=40000&features=20", "price", "all"),
          "very long": ("synthetic:loan_default?rows=1000000&features=20", "default", "1-4")}
TRIALS = 3


def timed(source: str, target: str, which: str, home: Path) -> dict[str, object]:
    "Runs the epochs on one table and reads what they took"
    brief = home.with_suffix(".toml")
    lines = ['[project]\nname = "timing"', f'[data]\nsource = "{source}"', f'target = "{target}"', f"[budget]\ntuning_trials = {TRIALS}\n"]
    brief.write_text("\n".join(lines), encoding="utf-8")
    environment = {**os.environ, "EPOCH_HOME": str(home)}
    home.mkdir()
    subprocess.run([EPOCH, "run", which, "--brief", str(brief), "--unattended", "benchmark"], check=True, capture_output=True, cwd=ROOT, env=environment)
    return {"source": source} | taken(home)


def taken(home: Path) -> dict[str, object]:
    "Seconds and peak memory of every epoch that ran in a home, and seconds of every framework; 005 without its training and trials"
    shown = subprocess.run([EPOCH, "status", "--json"], check=True, capture_output=True, text=True, env={**os.environ, "EPOCH_HOME": str(home)})
    epochs, settings = [row for row in json.loads(shown.stdout)["epochs"] if row["state"] == "done"], load_settings(home=home, env={})
    profile = json.loads((settings.folder(1) / "project_plan.json").read_text())["profile"]
    seconds, frameworks = {row["epoch"]: row["seconds"] for row in epochs}, {}
    if 5 in seconds:
        models = json.loads((settings.artifacts(5) / "all_models_metrics.json").read_text())["models"]
        trials = json.loads((settings.artifacts(5) / "tuning_summary_report.json").read_text())["seconds"]
        frameworks = {model["framework"]: round(model["training_seconds"], 2) for model in models if model["status"] == "trained"}
        seconds[5] = round(seconds[5] - sum(frameworks.values()) - trials, 1)
    return {"rows": profile["rows"], "columns": profile["columns"], "seconds": seconds, "peak_mb": {row["epoch"]: round(row["peak_mb"]) for row in epochs},
            "frameworks": frameworks}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        results = {name: timed(*table, Path(folder) / name) for name, table in TABLES.items()}
    (ROOT / "benchmarks" / "epochs.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("SIZES =", [(round(table["rows"] * table["columns"] / 1e6, 3), table["columns"]) for table in results.values()])
    for name in ("seconds", "peak_mb", "frameworks"):
        keys = list(dict.fromkeys(key for table in results.values() for key in table[name]))
        print(name, "=", {key: tuple(table[name].get(key) for table in results.values()) for key in keys})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
