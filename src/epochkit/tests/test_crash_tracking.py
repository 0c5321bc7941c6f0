"""The tracking server is killed in the middle of epoch 005: the work goes on, what waits is sent later, and nothing is lost or there twice."""
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from epochkit.core.files import read_json
from epochkit.core.settings import load_settings
from epochkit.lifecycle.gates import CHECKS, GateContext
from epochkit.lifecycle.run import EpochRun
from epochkit.models.model_rows import keep_rows
from epochkit.lifecycle.tracking import _answers, StoreAwayError, experiment_name, run_client, tracked, tracking_client, tracking_outbox
from epochkit.models import registration
from epochkit.models.candidates import choose_best, comparison_claim
from epochkit.models.figures import comparison_figure
from epochkit.models.gate import TRAINING_FILES, TUNING_FILES
from epochkit.models.resume import clear_work, resumed_run
from epochkit.report.figures import Figures
from epochkit.tests.test_crash_training import PLAN, TRIALS, few, prepared


class TrackingServer:
    "MLflow's own server in a process, with its files in `folder`"

    def __init__(self, folder: Path):
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.uri, self.process = f"http://127.0.0.1:{self.port}", None

    def start(self) -> None:
        code = ("import os, sys; from mlflow.server import app; from werkzeug.serving import run_simple; "
                "run_simple('127.0.0.1', int(sys.argv[1]), app, threaded=True)")
        own = {"_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self.folder}/server.db", "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
               "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{self.folder}/server.db", "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
               "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{self.folder}/artifacts", "MLFLOW_FLASK_SERVER_SECRET_KEY": "a test",
               "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")}
        own |= {key: value for key, value in os.environ.items() if key in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.process = subprocess.Popen([sys.executable, "-c", code, str(self.port)], env=own, cwd=self.folder,
                                        stdout=subprocess.DEVNULL, stderr=(self.folder / "log").open("ab"))
        until = time.monotonic() + 240
        while time.monotonic() < until and self.process.poll() is None:
            if _answers(self.uri, wait_s=60):
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "server").mkdir()
    server = TrackingServer(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # a busy machine is slow, and not away
    server.start()
    yield server
    if server.process.poll() is None:
        server.kill()


def phase_1(run: EpochRun, after_first=lambda: None):
    "Phase 1 as the notebook does it; after_first: called when the first candidate is done"
    features_file = run.input(4, "engineered_features.parquet")
    features = pd.read_parquet(features_file)
    keep_rows(run, features, "", PLAN)
    data = registration.folded_data(features, pd.read_parquet(run.input(2, "data.parquet")), PLAN)
    with registration.training_store(run, "frameworks", PLAN, features_file) as store, resumed_run(run, "model_training", store) as track:
        real = store.save

        def save(kind, *arguments, **more):
            entry = real(kind, *arguments, **more)
            if kind == "candidate" and len(store.entries("candidate")) == 1:
                after_first()
            return entry
        store.save = save
        found = registration.compare_frameworks(run, data, PLAN, track.run_id, store, few(), workers=0)
    choice = choose_best(found, data, PLAN)
    registration.save_phase_1(run, found, choice, features, data, PLAN, track.run_id)
    Figures(run.artifacts, subfolder="").save(comparison_figure(found, choice, PLAN), "all_models_comparison", comparison_claim(found, choice, PLAN))
    for name in TRAINING_FILES:
        track.artifact(run.artifacts / name)


def test_a_server_that_is_killed_after_the_first_candidate_costs_nothing(tmp_path, server, monkeypatch):
    monkeypatch.setattr(registration, "load_plan", lambda settings: PLAN)
    settings = load_settings(home=prepared(tmp_path / "home"), env={})
    run = EpochRun(5, settings, {})
    run.ledger.append("epoch_started", {"run": run.id}, epoch=5)
    phase_1(run, after_first=server.kill)
    box = tracking_outbox(settings)
    assert [call.name for call in box.waiting()].count("create_run") == 2, "two candidates came after it"
    warning, = [event.data["text"] for event in run.ledger.events() if event.kind == "warning"]
    assert server.uri in warning and f"waits in {box.folder}" in warning and "\n" not in warning
    with pytest.raises(StoreAwayError, match="tuned and is not registered yet: the tracking store .* calls wait"):
        registration.tune_best_model(run)
    assert not (run.artifacts / "tuned_model_info.json").exists()

    server.start()
    again = EpochRun(5, settings, {})
    again.ledger.append("epoch_started", {"run": again.id}, epoch=5)
    summary = registration.tune_best_model(again)
    assert summary["resumed"] == f"resuming from {TRIALS} of {TRIALS} trials" and summary["version"] == "1" and not box.waiting()
    assert not (box.folder / "refused.json").exists()
    clear_work(again)

    client = tracking_client(settings)
    experiment = client.get_experiment_by_name(experiment_name(settings, "model"))
    runs = {item.info.run_id: item for item in client.search_runs([experiment.experiment_id], max_results=1_000)}
    names = Counter(item.data.tags["mlflow.runName"] for item in runs.values())
    trials = read_json(run.artifacts / "all_tuning_results.json")["trials"]
    assert set(names.values()) == {1} and len(names) == 2 + len(few()) + TRIALS, "each run once"
    assert {item.info.status for item in runs.values()} == {"FINISHED"}
    parent = read_json(run.artifacts / "tuned_model_info.json")["tuning_run_id"]
    assert {runs[trial["run_id"]].data.tags["mlflow.parentRunId"] for trial in trials} == {parent}
    assert all("waiting-" not in (run.artifacts / name).read_text() for name in (*TRAINING_FILES, *TUNING_FILES) if not name.endswith(".png"))
    training = read_json(run.artifacts / "best_model_info.json")["training_run_id"]
    assert {file.path for file in client.list_artifacts(training)} == set(TRAINING_FILES)
    stored = Path(client.download_artifacts(training, "all_models_metrics.json", str(tmp_path))).read_text()
    assert "waiting-" not in stored
    caught_up, = [event.data for event in run.ledger.events() if event.kind == "tracking_caught_up"]
    assert caught_up["calls"] > 20 and caught_up["refused"] == 0
    outputs = {settings.relative(path): {} for path in run.artifacts.iterdir() if path.is_file()}
    found = CHECKS[5]["metrics are in MLflow"](GateContext(settings, 5, outputs))
    assert found.result == "pass" and "3 of these runs were sent late" in found.reason


def test_a_server_that_comes_back_gets_what_waited_before_anything_else(tmp_path, server, monkeypatch):
    monkeypatch.setattr("epochkit.lifecycle.tracking._LOOK_AGAIN_S", 0.0)
    run = EpochRun(1, load_settings(home=tmp_path / "home", env={}), {})
    with tracked(run, "whole", {"seed": 1}) as current:
        server.kill()
        current.metrics({"auc": 0.7})
        assert len(tracking_outbox(run.settings).waiting()) == 1
        server.start()
        current.metrics({"log_loss": 0.3})
        assert not tracking_outbox(run.settings).waiting()
    found = tracking_client(run.settings).get_run(current.run_id)
    assert found.data.metrics == {"auc": 0.7, "log_loss": 0.3} and found.info.status == "FINISHED"


def test_an_address_that_never_answered_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = EpochRun(1, load_settings(home=tmp_path, env={}), {})
    with pytest.raises(StoreAwayError, match="cannot be reached"):
        run_client(run)
    assert not tracking_outbox(run.settings).waiting()
