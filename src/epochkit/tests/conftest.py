"""Fixtures shared by the hand-written tests: a finished project, made once for all of them."""
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from epochkit.core.settings import load_settings
from epochkit.record.actors import ACTOR_KIND, AGENT_VARIABLES

for _name in (ACTOR_KIND, "AGENT", *AGENT_VARIABLES):  # the tests decide in the name of people, whoever runs them
    os.environ.pop(_name, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as under nohup; what the tests start would inherit that and could not be stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = load_settings(env={}).code_root
EPOCH = [str(Path(sys.executable).with_name("epoch"))]


def epoch(home: Path, *arguments: str, timeout_s: int = 1_800) -> subprocess.CompletedProcess:
    "Runs the command line as a process of its own in the home folder `home`"
    environment = {**os.environ, "EPOCH_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run([*EPOCH, *arguments], env=environment, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT)


def demo_brief(**changes: str) -> str:
    "The demo's brief with the lines of the given keys replaced"
    text = (ROOT / "epoch001-research-analysis-planning" / "project_brief.toml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        key = line.split("=")[0].strip()
        lines.append(f"{key} = {changes[key]}" if key in changes else line)
    return "\n".join(lines)


DIABETES_BRIEF = """[project]
name = "diabetes_progression"
use_case = "Plan visits for patients whose disease is likely to progress"
[data]
source = "demo:diabetes"
target = "progression"
[metric]
primary = "rmse"
minimum = 70
[budget]
tuning_trials = 4
"""


def run_all(home: Path, brief: str) -> subprocess.CompletedProcess:
    "All eight epochs, unattended, in a fresh home"
    home.mkdir(parents=True, exist_ok=True)
    (home / "brief.toml").write_text(brief, encoding="utf-8")
    return epoch(home, "run", "all", "--brief", str(home / "brief.toml"), "--unattended", "automated test")


def pytest_terminal_summary(terminalreporter, config) -> None:
    "The table of the real sets, when they were run"
    if rows := getattr(config, "real_tables", []):
        import pandas as pd
        terminalreporter.section("real tables, epochs 001 to 004")
        terminalreporter.write_line(pd.DataFrame(rows).round(1).to_string(index=False))


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    "A home in which the demo ran through all eight epochs; EPOCH_FINISHED_HOME names one to make or to use"
    home = Path(os.environ.get("EPOCH_FINISHED_HOME") or tmp_path_factory.mktemp("finished"))
    with FileLock(str(home) + ".lock"):
        if not (home / "finished").exists():
            done = run_all(home, demo_brief(tuning_trials="5"))
            assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
            (home / "finished").touch()
    return home


@pytest.fixture
def copied_home(finished_home: Path, tmp_path: Path) -> Path:
    "A copy of the finished project that a test may break; the tracking store is left behind"
    home = tmp_path / "home"
    shutil.copytree(finished_home, home, ignore=shutil.ignore_patterns("mlruns", "_executed"))
    return home
