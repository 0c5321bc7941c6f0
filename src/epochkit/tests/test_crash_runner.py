"""kill -9 of the runner, the kernel or both, at any moment: the next run goes on, redoes nothing finished, and ends with the same bytes."""
import os
import random
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from epochkit.core.files import sha256_of
from epochkit.core.settings import load_settings
from epochkit.record.ledger import Ledger
from epochkit.runner.progress import RUNNER_HOME, read_progress
from epochkit.tests.conftest import DIABETES_BRIEF, EPOCH, ROOT, demo_brief, epoch

BRIEF = DIABETES_BRIEF.replace("tuning_trials = 4", "tuning_trials = 2")
FILES = ("column_roles.json", "project_plan.json", "data.parquet", "schema.json", "engineered_features.parquet", "test_data.parquet")
VICTIMS = ("runner", "kernel", "both")


def hashes(home: Path) -> dict[str, str]:
    "Name -> hash of each deterministic file that exists, wherever it lies below the home"
    return {path.name: sha256_of(path) for name in FILES for path in home.rglob(name)}


def kernels(home: Path, runner: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process for process in psutil.Process(runner).children()
                if process.environ().get(RUNNER_HOME) == str(home)]
    return []


def run_and_kill(home: Path, which: str, victim: str, after_s: float) -> int | None:
    "Exit code of `epoch run`; None when it was killed after `after_s` seconds of work"
    environment = {**os.environ, "EPOCH_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    runner = subprocess.Popen([*EPOCH, "run", which, "--unattended", "crash test"], env=environment, cwd=ROOT, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    settings, begun = load_settings(home=home, env={}), time.monotonic()
    while runner.poll() is None and not read_progress(settings) and time.monotonic() - begun < 60:
        time.sleep(0.02)
    with suppress(subprocess.TimeoutExpired):
        runner.wait(after_s)
    doomed = kernels(home, runner.pid) if victim != "runner" else []
    hit = runner.poll() is None and (victim != "kernel" or bool(doomed))
    for process in doomed:
        with suppress(psutil.Error):
            process.kill()
    if victim != "kernel":
        runner.kill()
    said = runner.communicate(timeout=600)[1]
    if victim == "kernel" and runner.returncode:
        assert said.strip().splitlines()[-1].startswith("epoch: "), said[-3000:]
    return None if hit else runner.returncode


def disturbed(home: Path, brief: str, whiches: list[str], victims: list[str], within_s: float, chance: random.Random) -> int:
    "Runs `whiches` to their end while every run is killed as long as there are victims left; the number of kills"
    installed = load_settings(home=home, env={}).folder(1)
    installed.mkdir(parents=True)
    (installed / "project_brief.toml").write_text(brief, encoding="utf-8")
    left, kills = list(victims), 0
    for number, which in enumerate(whiches):
        last = number == len(whiches) - 1
        while left and (last or chance.random() < 0.7):
            code = run_and_kill(home, which, left[0], chance.uniform(0.1, within_s))
            if code is not None and last:
                break
            left, kills = left[1:], kills + 1
        done = epoch(home, "run", which, "--unattended", "crash test")
        assert done.returncode == 0, done.stderr[-3000:]
    return kills


def check(home: Path, whole: Path, epochs: int) -> None:
    settings = load_settings(home=home, env={})
    assert {name: value for name, value in hashes(whole).items() if name in hashes(home)} == hashes(home)
    assert set(hashes(home)) >= set(FILES[:4])
    finished = Counter(event.epoch for event in Ledger(settings.context_root).events() if event.kind == "epoch_finished")
    assert finished == {number: 1 for number in range(1, epochs + 1)}, "finished work was done again"
    verified = epoch(home, "verify")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.lifecycle
def test_three_kills_in_the_first_two_epochs(finished_home, tmp_path):
    kills = disturbed(tmp_path / "home", demo_brief(tuning_trials="5"), ["1", "2"], list(VICTIMS), 4, random.Random(3))
    assert kills >= 1
    check(tmp_path / "home", finished_home, 2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    disturbed(home, BRIEF, ["all"], [], 1, random.Random(0))
    return home


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(int(os.environ.get("EPOCH_SOAK_RUNS", "20"))))
def test_ten_kills_in_a_full_run(undisturbed, tmp_path, seed):
    chance = random.Random(seed)
    disturbed(tmp_path / "home", BRIEF, ["all"], chance.choices(VICTIMS, k=10), 40, chance)
    check(tmp_path / "home", undisturbed, 8)
