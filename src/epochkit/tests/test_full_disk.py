"""The disk is full at one place of epoch 005 after the other: one clear line, what was finished stays, and the next run goes on from there."""
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from epochkit.core.errors import PipelineError, explain
from epochkit.core.files import read_json
from epochkit.core.services import disk_trouble
from epochkit.core.settings import load_settings
from epochkit.lifecycle.run import EpochRun
from epochkit.models.model_rows import keep_rows
from epochkit.models import registration
from epochkit.models.candidates import choose_best, comparison_claim
from epochkit.models.figures import comparison_figure
from epochkit.models.frameworks.base import FrameworkModel
from epochkit.models.resume import clear_work, resumed_run
from epochkit.report.figures import Figures
from epochkit.tests.test_crash_training import PLAN, TRIALS, few, prepared

PLACES = {  # what is written, as its name begins -> whether phase 1 writes it
    "journal.jsonl": True, r"\d{4}-\w+\.joblib": True, "linear.joblib": True, "all_models_metrics.json": True,
    "out_of_fold_predictions.parquet": True, "validation_predictions.parquet": True, "all_models_comparison.png": True,
    "bundle-": False, "all_tuning_results.csv": False, "tuned_model_info.json": False, "top_10_models.png": False, "figures.json": True}


def both_phases(run: EpochRun) -> None:
    run.ledger.append("epoch_started", {"run": run.id}, epoch=5)
    features_file = run.input(4, "engineered_features.parquet")
    features = pd.read_parquet(features_file)
    keep_rows(run, features, "", PLAN)
    data = registration.folded_data(features, pd.read_parquet(run.input(2, "data.parquet")), PLAN)
    with registration.training_store(run, "frameworks", PLAN, features_file) as store, resumed_run(run, "model_training", store) as track:
        found = registration.compare_frameworks(run, data, PLAN, track.run_id, store, {name: few()[name] for name in ("dummy", "linear")}, workers=0)
    choice = choose_best(found, data, PLAN)
    registration.save_phase_1(run, found, choice, features, data, PLAN, track.run_id)
    Figures(run.artifacts, subfolder="").save(comparison_figure(found, choice, PLAN), "all_models_comparison", comparison_claim(found, choice, PLAN))
    registration.tune_best_model(run)


def fills_up(monkeypatch, place: str) -> None:
    "The first time that something of this name is to be written, there is no room; an appended line is stopped at the same door"
    real, opened, full = os.replace, os.open, []

    def stop(path) -> None:
        if re.match(place, Path(path).name) and not full:
            full.append(path)
            raise OSError(28, "No space left on device", str(path))

    def replace(source, target, **more):
        stop(target)
        return real(source, target, **more)

    def open_(path, flags, *more, **options):
        if isinstance(path, str | Path) and flags & os.O_APPEND:
            stop(path)
        return opened(path, flags, *more, **options)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "open", open_)


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return prepared(tmp_path_factory.mktemp("ready"))


@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_is_full_is_one_line_and_the_next_run_goes_on(ready, tmp_path, monkeypatch, place):
    import shutil
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(registration, "load_plan", lambda settings: PLAN)
    monkeypatch.setattr(registration, "worker_count", lambda data: 0)  # the disk is the question, not the processes
    settings = load_settings(home=shutil.copytree(ready, tmp_path / "home"), env={})
    with monkeypatch.context() as patch:
        fills_up(patch, place)
        with pytest.raises((PipelineError, OSError)) as caught:
            both_phases(EpochRun(5, settings, {}))
    told = str(caught.value) if isinstance(caught.value, PipelineError) else str(disk_trouble(explain(caught.value)))
    assert "\n" not in told and re.search("make room|free some space", told) and re.search("is finished is kept|finished before is kept", told)
    assert not list(settings.artifacts(5).rglob("*.part")), "nothing half written is left"
    fits, real = [], FrameworkModel.fit

    def counted(self, *arguments, **more):
        fits.append(self.name)
        return real(self, *arguments, **more)
    monkeypatch.setattr(FrameworkModel, "fit", counted)
    run = EpochRun(5, settings, {})
    both_phases(run)
    clear_work(run)
    assert len(read_json(run.artifacts / "all_tuning_results.json")["trials"]) == TRIALS
    assert [event.data["version"] for event in run.ledger.events() if event.kind == "model_registered"] == ["1"]
    assert place == "journal.jsonl" or place.startswith(r"\d") or "dummy" not in fits, "the first framework is not trained again"
    assert PLACES[place] or not fits, "after the search nothing is trained again"
