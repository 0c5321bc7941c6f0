"""What the memory guard costs: one job of a minute of CPU with `run_limited` and in a plain process, in turns.

    .venv/bin/python benchmarks/guard.py [--repeats 3] [--seconds 60]
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from epochkit.core.memory_guard import run_limited


def job(rounds: int) -> float:
    "So many rounds of sorting and grouping a table; the CPU seconds they took"
    import numpy as np
    import pandas as pd
    began, numbers = time.process_time(), np.random.default_rng(0)
    for _ in range(rounds):
        table = pd.DataFrame({"key": numbers.integers(0, 1000, 400_000), "value": numbers.normal(size=400_000)})
        table.sort_values("value").groupby("key")["value"].agg(["mean", "std", "count"])
    return time.process_time() - began


def used() -> float:
    "CPU seconds so far of this process and of its finished children"
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def guarded(rounds: int) -> float:
    return run_limited(job, rounds, limit_mb=2_000)


def plain(rounds: int) -> float:
    code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); from guard import job; print(job({rounds}))"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def measured(run, rounds: int) -> dict[str, float]:
    wall, cpu, own = time.perf_counter(), used(), time.process_time()
    inside = run(rounds)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": used() - cpu, "job_cpu_s": inside, "parent_cpu_s": time.process_time() - own}


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the memory guard.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    rounds = max(1, round(options.seconds / (plain(20) / 20)))
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "guarded": []}
    for _ in range(options.repeats):
        for name, run in (("plain", plain), ("guarded", guarded)):
            runs[name].append(measured(run, rounds))
    middle = {name: {key: round(statistics.median(run[key] for run in found), 3) for key in found[0]} for name, found in runs.items()}
    cost = {"watching, share of the job's CPU": middle["guarded"]["parent_cpu_s"] / middle["guarded"]["job_cpu_s"],
            "starting the process, CPU seconds": sum(middle["guarded"][key] * sign for key, sign in
                                                     (("cpu_s", 1), ("job_cpu_s", -1), ("parent_cpu_s", -1))),
            "all CPU, guarded over plain": middle["guarded"]["cpu_s"] / middle["plain"]["cpu_s"] - 1,
            "wall, guarded over plain": middle["guarded"]["wall_s"] / middle["plain"]["wall_s"] - 1}
    print(json.dumps({"rounds": rounds, **middle, "guard": {name: round(value, 4) for name, value in cost.items()}}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
