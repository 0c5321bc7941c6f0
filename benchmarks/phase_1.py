"""Phase 1 of epoch 005 on 10,000 rows and 20 columns with all frameworks: seconds, and the part that is neither fit nor answer.

    .venv/bin/python benchmarks/phase_1.py [--rows 10000] [--task loan_default]      writes phase_1.json beside it

Epochs 001 to 004 run first. Then the frameworks are compared as the story compares them, by a process of its own, so that CPU seconds of the
comparison can be told from those of fits and answers: the workers count the latter, the system counts both.
"""
import argparse
import json
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
TARGETS = {"loan_default": "default", "house_prices": "price"}


def compare(home: Path) -> dict[str, object]:
    "The comparison in this process, on what epoch 004 left in `home`"
    import pandas as pd

    from epochkit.core.workers import end_kept_workers
    from epochkit.models.candidates import choose_best, train_candidates
    from epochkit.models.registration import folded_data, worker_count
    from epochkit.planning.plan import load_plan
    settings = load_settings(home=home, env={"EPOCH_PROJECT": str(ROOT)})
    plan = load_plan(settings)
    features = pd.read_parquet(settings.data(4) / "engineered_features.parquet")
    data = folded_data(features, pd.read_parquet(settings.data(2) / "data.parquet"), plan)
    began, before = time.monotonic(), used()
    candidates = train_candidates(data, plan, workers=worker_count(data), seconds=plan.budget.fit_seconds)
    choice = choose_best(candidates, data, plan)
    seconds = time.monotonic() - began
    end_kept_workers()  # what they used counts once they have ended
    cpu = used() - before
    fits = sum(item.cpu_seconds or 0.0 for item in candidates)
    return {"rows": len(features), "features": data.X.shape[1], "workers": worker_count(data), "fit_seconds": plan.budget.fit_seconds,
            "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "fit_and_answer_cpu_seconds": round(fits, 1),
            "other_share": round(1 - fits / cpu, 3), "best": choice.best.framework, "load": os.getloadavg()[0],
            "frameworks": {item.framework: item.skipped or round(item.cpu_seconds, 1) for item in candidates}}


def used() -> float:
    "CPU seconds of this process and of its children that have ended"
    return sum(part.ru_utime + part.ru_stime for part in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the comparison of all frameworks.")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--task", choices=TARGETS, default="loan_default")
    parser.add_argument("--home", type=Path, help="a home where epochs 001 to 004 are done")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "home"
        if options.home is None:
            home.mkdir()
            brief = Path(folder) / "brief.toml"
            brief.write_text(f'[project]\nname = "phase 1"\n[data]\nsource = "synthetic:{options.task}?rows={options.rows}&features=20"\n'
                             f'target = "{TARGETS[options.task]}"\n', encoding="utf-8")
            subprocess.run([EPOCH, "run", "1-4", "--brief", str(brief), "--unattended", "benchmark"], check=True, capture_output=True, cwd=ROOT,
                           env={**os.environ, "EPOCH_HOME": str(home)})
        found = compare(home)
    path = Path(__file__).with_name("phase_1.json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, options.task: found}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
