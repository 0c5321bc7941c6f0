"""Times the eight epochs on four tables: the timings that the estimates of epoch 001 stand on (cell "Timings of the kit" in
nbs/planning/05_estimates.ipynb; large_table.py measures the fifth, a million rows).

    .venv/bin/python benchmarks/epochs.py          about 15 minutes on two quiet cores; writes epochs.json beside it
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
EPOCH = str(Path(sys.executable).with_name("epoch"))
TABLES = {"small": ("demo:credit", "Status"), "long": ("synthetic:loan_default?rows=40000&features=20", "default"),
          "wide": ("synthetic:house_prices?rows=3000&features=80", "price"),
          "long, a number": ("synthetic:house_prices?rows=40000&features=20", "price")}
TRIALS = 3


def timed(source: str, target: str, home: Path) -> dict[str, object]:
    "Runs the epochs on one table and reads what they took"
    brief = home.with_suffix(".toml")
    lines = ['[project]\nname = "timing"', f'[data]\nsource = "{source}"', f'target = "{target}"', f"[budget]\ntuning_trials = {TRIALS}\n"]
    brief.write_text("\n".join(lines), encoding="utf-8")
    environment = {**os.environ, "EPOCH_HOME": str(home)}
    home.mkdir()
    subprocess.run([EPOCH, "run", "all", "--brief", str(brief), "--unattended", "benchmark"], check=True, capture_output=True, cwd=ROOT, env=environment)
    return {"source": source} | taken(home)


def taken(home: Path) -> dict[str, object]:
    "Seconds and peak memory of every epoch that ran in a home, and seconds of every framework"
    shown = subprocess.run([EPOCH, "status", "--json"], check=True, capture_output=True, text=True, env={**os.environ, "EPOCH_HOME": str(home)})
    epochs, settings = [row for row in json.loads(shown.stdout)["epochs"] if row["state"] == "done"], load_settings(home=home, env={})
    profile = json.loads((settings.folder(1) / "project_plan.json").read_text())["profile"]
    models = json.loads((settings.artifacts(5) / "all_models_metrics.json").read_text())["models"]
    frameworks = {model["framework"]: round(max(0.1, model["training_seconds"]), 1) for model in models
                  if model["status"] == "trained" and model["framework"] not in ("dummy", "one_column")}
    return {"rows": profile["rows"], "columns": profile["columns"], "seconds": {str(row["epoch"]): row["seconds"] for row in epochs},
            "peak_mb": {str(row["epoch"]): round(row["peak_mb"]) for row in epochs}, "frameworks": frameworks}


def besides(table: dict) -> float:
    "Seconds of 005 without what `planning.estimates` says for frameworks and trials"
    each = table["frameworks"].values()
    return round(table["seconds"]["5"] - min(60, 3 * sum(each)) - 3 * TRIALS * median(each), 1)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        results = {name: timed(*table, Path(folder) / name) for name, table in TABLES.items()}
    (ROOT / "benchmarks" / "epochs.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("SIZES =", [(round(table["rows"] * table["columns"] / 1e6, 3), table["columns"]) for table in results.values()])
    for table in results.values():
        table["seconds"]["5"] = besides(table)
    for name in ("seconds", "peak_mb", "frameworks"):
        keys = list(dict.fromkeys(key for table in results.values() for key in table[name]))
        print(name, "=", {key: tuple(table[name].get(key) for table in results.values()) for key in keys})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
