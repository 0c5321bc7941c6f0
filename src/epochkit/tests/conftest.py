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


# what somebody could try in order to get past a gate, tested where it belongs: `make test-agents` runs these too
ATTEMPTS_ELSEWHERE = (
    "test_review_click_origin.py::test_what_a_cell_can_do_is_refused",
    "test_review_click_origin.py::test_a_click_on_another_widget_is_no_click_on_this_one",
    "test_review_click_origin.py::test_a_message_counts_once_and_must_be_a_click",
    "test_review_decisions.py::test_an_agent_decides_nothing_and_its_attempt_stays",
    "test_review_decisions.py::test_only_a_person_can_open_what_a_person_sent_back",
    "test_review_panel.py::test_what_changed_since_the_card_was_drawn_is_not_decided_on",
    "test_lifecycle_validity.py::test_a_signed_decision_counts_and_a_changed_or_foreign_one_does_not",
    "test_lifecycle_verify.py::test_a_rewritten_record_does_not_fit_what_was_kept_outside",
    "test_record_anchors.py::test_a_cut_and_a_rewritten_record_are_found_with_real_notes",
    "test_agents_mcp_server.py::test_there_is_no_tool_that_decides",
    "test_agents_mcp_server.py::test_a_word_does_not_become_an_option",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    "The tests named above carry the marker `agents`"
    for item in items:
        if f"{item.path.name}::{getattr(item, 'originalname', item.name)}" in ATTEMPTS_ELSEWHERE:
            item.add_marker(pytest.mark.agents)


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


@pytest.fixture(scope="module")
def browser():
    "A Chromium for the tests of one file"
    from epochkit.tests.jupyterlab import chromium
    with chromium() as found:
        yield found


@pytest.fixture
def copied_home(finished_home: Path, tmp_path: Path) -> Path:
    "A copy of the finished project that a test may break; the tracking store is left behind"
    home = tmp_path / "home"
    shutil.copytree(finished_home, home, ignore=shutil.ignore_patterns("mlruns", "_executed"))
    return home
