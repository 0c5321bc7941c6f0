"""Training and tuning are killed with kill -9 at random moments: what was finished is not done again, and the result is the undisturbed one.

12 random kills of the search and 4 of the whole of both phases with MLflow in the normal run; 200 and 60 with the marker `soak`.
Run as a script this file is a server that has paid the imports and forks a worker for each line it reads; the worker dies by our kill -9.
"""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest

from epochkit.core.files import read_json, sha256_of, write_json
from epochkit.core.settings import load_settings
from epochkit.models.frameworks.base import FrameworkModel, frameworks_for
from epochkit.models.resume import WorkStore, clear_work, joblib_bytes, resumed_run
from epochkit.core.brief import SplitSection
from epochkit.models.candidates import Candidate, choose_best, train_candidates
from epochkit.models.folds.fold_fits import training_data
from epochkit.lifecycle.run import EpochRun
from epochkit.models.model_rows import keep_rows
from epochkit.lifecycle.facts import file_facts
from epochkit.lifecycle.tracking import experiment_name, tracking_client
from epochkit.models.tuning import Tuning, tune

TRIALS = 8
MOST_FITS = 11  # of what is stored at once: a trial of five folds, or the winner checked on five others beside the model as it came


class SmallPlan(SimpleNamespace):
    def model_copy(self, update):
        return SmallPlan(**{**vars(self), **update})


PLAN = SmallPlan(
    data=SimpleNamespace(task="binary", target="y", classes=["good", "bad"], positive="bad", group="", time=""),
    split=SplitSection(seed=1, strategy="random"), columns={}, classification=True, feature_columns=["a", "b"],
    budget=SimpleNamespace(tuning_trials=TRIALS, tuning_minutes=60.0, fit_seconds=None, file_mb=50, on_oversize="error"),
    serving=SimpleNamespace(latency_p95_ms=100, coverage=0),
    metric=SimpleNamespace(primary="roc_auc", maximize=True, cost_false_positive=1.0, cost_false_negative=5.0))


class Raw:
    columns = {"a": "numeric", "b": "numeric"}

    def transform(self, raw: pd.DataFrame) -> pd.DataFrame:
        return raw[["a", "b"]].astype(float)


def rows() -> pd.DataFrame:
    "A target that only trees can learn, so that the framework with the widest space is tuned"
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"row_id": range(400), "a": draw.normal(size=400), "b": draw.normal(size=400)})
    chance = 1 / (1 + np.exp(-3 * (frame["a"] ** 2 - 0.5)))
    return frame.assign(split=np.where(np.arange(400) % 4, "train", "validation"), y=(draw.random(400) < chance).astype(int))


def few() -> dict[str, type[FrameworkModel]]:
    return {name: frameworks_for("binary")[name] for name in ("dummy", "linear", "xgboost")}


def bytes_of(model: FrameworkModel) -> str:
    return hashlib.sha256(joblib_bytes(model)).hexdigest()


def told(found: list[Candidate], tuning: Tuning) -> dict:
    "Everything that must be the same: each trial, each candidate, the winner's numbers and the very bytes of the models"
    return {"trials": [[trial.number, trial.params, trial.value, trial.failed] for trial in tuning.trials], "improved": tuning.improved,
            "candidates": [[item.framework, item.metrics, bytes_of(item.model)] for item in found],
            "winner": [tuning.winner.model.settings, tuning.winner.metrics, tuning.winner.threshold, bytes_of(tuning.winner.model)]}


def search(home: Path) -> None:
    "Both phases without MLflow; `trained` counts what was fitted"
    run, data = EpochRun(5, load_settings(home=home, env={}), {}), training_data(rows(), "y")
    real = FrameworkModel.fit

    def counted(self, *arguments, **more):
        done = real(self, *arguments, **more)
        with open(home / "trained", "a") as file:
            file.write("x")
        return done
    FrameworkModel.fit = counted
    with WorkStore(run, "frameworks", seed=1) as store:
        found = train_candidates(data, PLAN, frameworks=few(), store=store)
    with WorkStore(run, "trials", seed=1) as store:
        tuning = tune(choose_best(found, data, PLAN).best, data, PLAN, store=store)
    write_json(home / "result.json", told(found, tuning))


def whole(home: Path) -> None:
    "Both phases as the notebook does them, with MLflow, registration and all files"
    from epochkit.models import registration as model_handover
    from epochkit.models.figures import comparison_figure
    from epochkit.models.candidates import comparison_claim
    from epochkit.report.figures import Figures
    model_handover.load_plan = lambda settings: PLAN
    model_handover.worker_count = lambda data: 0  # the process that is killed makes the fits
    run = EpochRun(5, load_settings(home=home, env={}), {})
    run.ledger.append("epoch_started", {"run": run.id}, epoch=5)
    features_file = run.input(4, "engineered_features.parquet")
    features = pd.read_parquet(features_file)
    keep_rows(run, features, "", PLAN)
    data = model_handover.folded_data(features, pd.read_parquet(run.input(2, "data.parquet")), PLAN)
    with model_handover.training_store(run, "frameworks", PLAN, features_file) as store, resumed_run(run, "model_training", store) as track:
        found = model_handover.compare_frameworks(run, data, PLAN, track.run_id, store, few(), workers=0)
    choice = choose_best(found, data, PLAN)
    model_handover.save_phase_1(run, found, choice, features, data, PLAN, track.run_id)
    Figures(run.artifacts, subfolder="").save(comparison_figure(found, choice, PLAN), "all_models_comparison",
                                              comparison_claim(found, choice, PLAN))
    model_handover.tune_best_model(run)
    clear_work(run)


def prepared(home: Path) -> Path:
    "A home that epochs 1-4 have left behind as far as 005 reads them, with a tracking store"
    run, raw = EpochRun(5, load_settings(home=home, env={}), {}), rows()
    for number, name, write in ((1, "project_plan.json", lambda path: write_json(path, {})),
                                (2, "data.parquet", lambda path: raw.drop(columns="split").to_parquet(path)),
                                (4, "engineered_features.parquet", lambda path: raw.to_parquet(path)),
                                (4, "feature_pipeline.joblib", lambda path: joblib.dump(Raw(), path))):
        path = run.settings.data(number) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        before = [event for event in run.ledger.events() if event.kind == "epoch_finished" and event.epoch == number]
        outputs = {**(before[-1].data["outputs"] if before else {}), run.settings.relative(path): file_facts(path)}
        run.ledger.append("epoch_finished", {"gate": {"passed": True, "checks": []}, "outputs": outputs}, epoch=number)
    tracking_client(run.settings)
    return home


def serve() -> None:
    import catboost
    import lightgbm
    import mlflow.pyfunc
    import optuna
    import xgboost
    from epochkit.models.frameworks.base import known_frameworks
    assert all((catboost, lightgbm, mlflow, optuna, xgboost, known_frameworks()))
    for line in iter(sys.stdin.readline, ""):
        job, home = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            try:
                {"search": search, "whole": whole, "prepared": prepared}[job](Path(home))
            except BaseException:
                Path(home, "error").write_text(traceback.format_exc())
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


class Server:
    "Starts jobs, kills them or waits for them"

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)

    def start(self, job: str, home: Path) -> int:
        home.mkdir(parents=True, exist_ok=True)
        self.process.stdin.write(f"{job}\t{home}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        return int(self.process.stdout.readline())

    def do(self, job: str, home: Path) -> float:
        "Seconds that the job took undisturbed"
        began = time.monotonic()
        self.start(job, home)
        assert self.end() == 0, (home / "error").read_text()
        return time.monotonic() - began

    def do_killed(self, job: str, home: Path, seconds: float, draw: random.Random, kills: int = 10) -> int:
        "How many times the job was killed, at most `kills`, before it came to its end"
        killed = 0
        while True:
            pid = self.start(job, home)
            if killed < kills:
                time.sleep(draw.uniform(0, seconds))
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            status = self.end()
            assert status in (0, signal.SIGKILL), (home / "error").read_text()
            if status == 0:
                return killed
            killed += 1


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.stdin.close()
    server.process.stdout.close()
    server.process.wait()


KILLS = [pytest.param(12, id="12 kills"), pytest.param(200, id="200 kills", marks=pytest.mark.soak)]


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_search_ends_with_the_undisturbed_result_and_trains_nothing_twice(server: Server, tmp_path: Path, kills: int) -> None:
    server.do("search", tmp_path / "warm")
    seconds = server.do("search", tmp_path / "undisturbed")
    expected, fits = read_json(tmp_path / "undisturbed" / "result.json"), (tmp_path / "undisturbed" / "trained").stat().st_size
    assert len(expected["trials"]) == TRIALS and expected["winner"][0]["max_depth"] and fits > 6 * len(few())
    draw, done, home = random.Random(os.getpid()), 0, 0
    while done < kills:
        home += 1
        killed = server.do_killed("search", tmp_path / str(home), seconds, draw)
        assert read_json(tmp_path / str(home) / "result.json") == expected
        assert fits <= (tmp_path / str(home) / "trained").stat().st_size <= fits + MOST_FITS * killed, "at most one piece of work is lost with a kill"
        done += killed


def seen(home: Path) -> dict:
    "What the record, the files and MLflow hold after both phases, without seconds and run ids"
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it for the home that was looked at last
    settings = load_settings(home=home, env={})
    results, info = (read_json(settings.artifacts(5) / name) for name in ("all_tuning_results.json", "tuned_model_info.json"))
    client = tracking_client(settings)
    experiment = client.get_experiment_by_name(experiment_name(settings, "model"))
    runs = client.search_runs([experiment.experiment_id], max_results=5_000)
    kept = {item.info.run_id for item in runs if item.info.status == "FINISHED"}
    names = sorted(item.data.tags["mlflow.runName"] for item in runs if item.info.run_id in kept)
    assert {item.info.status for item in runs} <= {"FINISHED", "KILLED"}, "no run is left RUNNING"
    assert {trial["run_id"] for trial in results["trials"]} | {results["tuning_run_id"], results["training_run_id"], info["run_id"]} <= kept
    assert all(item.data.tags["mlflow.parentRunId"] in kept for item in runs if item.info.run_id in kept and "mlflow.parentRunId" in item.data.tags)
    versions = [str(item.version) for item in client.search_model_versions(f"name = '{settings.project}'")]
    registered = [event.data["version"] for event in EpochRun(5, settings, {}).ledger.events() if event.kind == "model_registered"]
    assert sha256_of(settings.absolute(info["bundle_path"])) == info["bundle_sha256"]
    trials = [{key: value for key, value in trial.items() if key not in ("seconds", "run_id")} for trial in results["trials"]]
    return {"trials": trials, "runs": names, "versions": versions, "registered": registered, "version": info["version"],
            "metrics": info["metrics"], "parameters": info["parameters"], "threshold": info["threshold"],
            "figures": [figure["name"] for figure in read_json(settings.artifacts(5) / "figures.json")],
            "candidates": {file.name: sha256_of(file) for file in (settings.artifacts(5) / "candidates").iterdir()},
            "left": [path.name for path in settings.artifacts(5).glob("_work")]}


@pytest.mark.parametrize("kills", [pytest.param(4, id="4 kills"), pytest.param(60, id="60 kills", marks=pytest.mark.soak)])
def test_both_phases_with_mlflow_leave_what_an_undisturbed_run_leaves(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                      kills: int) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    server.do("prepared", tmp_path / "prepared")
    shutil.copytree(tmp_path / "prepared", tmp_path / "undisturbed")
    seconds = server.do("whole", tmp_path / "undisturbed")
    expected = seen(tmp_path / "undisturbed")
    assert expected["registered"] == ["1"] and len(expected["trials"]) == TRIALS and len(expected["runs"]) == 2 + len(few()) + TRIALS
    draw, done, home = random.Random(os.getpid()), 0, 0
    while done < kills:
        home += 1
        shutil.copytree(tmp_path / "prepared", tmp_path / str(home))
        done += server.do_killed("whole", tmp_path / str(home), seconds, draw, kills=min(10, kills - done))
        assert seen(tmp_path / str(home)) == expected


if __name__ == "__main__":
    serve()
