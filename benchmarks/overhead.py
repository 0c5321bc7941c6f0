"""What `epoch run N` typed in a shell costs beside the notebook: CPU seconds of the runner's own process, epoch by epoch.

    .venv/bin/python benchmarks/overhead.py [--repeats 3] [--which 1-3]      writes overhead.json beside it

The notebook runs in a kernel of its own, which is a child process; everything else (imports, progress, the executed copy, its page, the
record) happens in the process that was started. So its own CPU time, without that of its children, is what the runner adds.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
BRIEF = '[project]\nname = "overhead"\n[data]\nsource = "demo:breast_cancer"\ntarget = "diagnosis"\n'
RUN = """import resource, sys
from epochkit.cli import main
code = main(sys.argv[1:])
own, kernel = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
print(own.ru_utime + own.ru_stime, kernel.ru_utime + kernel.ru_stime)
raise SystemExit(code)
"""


def ran(number: int, home: Path, *options: str) -> dict[str, float]:
    "CPU seconds of the runner and of the kernel for one epoch"
    command = [sys.executable, "-c", RUN, "run", str(number), "--unattended", "benchmark", *options]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "EPOCH_HOME": str(home)})
    runner, kernel = map(float, shown.stdout.split()[-2:])
    return {"runner_cpu_s": runner, "kernel_cpu_s": kernel}


def main() -> int:
    parser = argparse.ArgumentParser(description="Time what the runner adds to a notebook.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--which", default="1-3", help="a number or a range from 1")
    options = parser.parse_args()
    last = int(options.which.rpartition("-")[2])
    runs: dict[int, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        brief = Path(folder) / "brief.toml"
        brief.write_text(BRIEF, encoding="utf-8")
        for repeat in range(options.repeats):
            home = Path(folder) / f"home{repeat}"
            for number in range(1, last + 1):
                given = ("--brief", str(brief)) if number == 1 else ()
                runs.setdefault(number, []).append(ran(number, home, *given))
    middle = {f"epoch {number:03d}": {key: round(statistics.median(run[key] for run in found), 2) for key in found[0]}
              for number, found in runs.items()}
    path = Path(__file__).with_name("overhead.json")
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**kept, "repeats": options.repeats, "epochs": middle}, indent=1) + "\n", encoding="utf-8")
    for name, values in middle.items():
        print(f"{name}: runner {values['runner_cpu_s']:.2f} CPU s, kernel {values['kernel_cpu_s']:.2f} CPU s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
