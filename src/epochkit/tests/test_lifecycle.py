"""All eight epochs as processes, on two real tables: what a full run must leave behind, and what must block it."""
import json

import pandas as pd
import pytest

from epochkit.core.settings import EPOCHS, load_settings
from epochkit.record.ledger import Ledger
from epochkit.tests.conftest import DIABETES_BRIEF, epoch, run_all

pytestmark = pytest.mark.lifecycle
DATA = f"data/{load_settings(env={}).project}"

ARTIFACT_INDEX = {
    "{folder1}": ["project_plan.json", "success_criteria.json", "resource_estimates.json", "risk_assessment.json", "requirements.md"],
    "{data}/epoch002-data-wrangling": ["data.parquet", "synthetic_data.parquet"],
    "{data}/epoch003-exploratory-data-analysis": ["eda_dataset.parquet"],
    "{data}/epoch004-feature-engineering": ["engineered_features.parquet", "test_data.parquet"],
    "{data}/epoch005-model-development": ["train_data.parquet", "val_data.parquet"],
    "artifacts/epoch001-research-analysis-planning": ["column_roles.json"],
    "artifacts/epoch002-data-wrangling": ["data_quality_report.json"],
    "artifacts/epoch003-exploratory-data-analysis": ["leak_audit.json", "eda_insights.json"],
    "artifacts/epoch005-model-development": [
        "all_models_metrics.json", "model_comparison_summary.csv", "all_models_comparison.png", "best_model_info.json",
        "all_tuning_results.json", "all_tuning_results.csv", "tuning_parameter_impact.png", "top_10_models.png", "tuned_model_info.json",
        "tuning_summary_report.json"],
    "artifacts/epoch006-model-testing": ["test_report.json", "test_report.html"],
    "artifacts/epoch008-retrospective": [
        "final_report.html", "performance_comparison.json", "what_if_analysis.json", "resource_utilization.json", "lessons.json", "figures/timeline.png",
        "figures/resource_use.png", "figures/success_criteria.png", "figures/metric_progress.png"],
    "epoch008-retrospective": ["project_playbook.json"],
    "epoch008-retrospective/lessons_learned": [
        "business_analysis.md", "data_wrangling.md", "eda_feature_engineering.md", "model_development.md", "model_testing.md",
        "mlops_deployment.md", "overall_recommendations.md"],
    ".context": ["ledger.jsonl", "pipeline_state.json", "data_lineage.json", "approval_log.json", "error_log.json",
                 "checkpoints/epoch002_checkpoint.json"],
}


def status(home):
    return json.loads(epoch(home, "status", "--json").stdout)["epochs"]


def missing_artifacts(home):
    places = {"folder1": EPOCHS[0].folder, "data": DATA}
    return [f"{folder.format(**places)}/{name}" for folder, names in ARTIFACT_INDEX.items() for name in names
            if not (home / folder.format(**places) / name).is_file() or not (home / folder.format(**places) / name).stat().st_size]


def test_the_demo_ends_with_eight_epochs_done(finished_home):
    rows = status(finished_home)
    assert [row["state"] for row in rows] == ["done"] * 8
    assert [row["decision"] for row in rows] == ["unattended" if item.human_gate else "" for item in EPOCHS]
    assert max(row["peak_mb"] for row in rows) < 2_000


def test_the_whole_artifact_index_exists(finished_home):
    assert missing_artifacts(finished_home) == []


def test_every_notebook_is_kept_executed_as_html_and_every_figure_twice(finished_home):
    for item in EPOCHS:
        folder = finished_home / "artifacts" / item.folder
        executed = list((folder / "_executed").glob("*.ipynb"))
        assert len(executed) == 1 and executed[0].with_suffix(".html").stat().st_size > 20_000
        figures = json.loads((folder / "figures.json").read_text())
        assert figures, item.folder
        for figure in figures:
            assert figure["claim"] and (folder / figure["html"]).is_file()
            assert figure["png"] is None or (folder / figure["png"]).is_file()


def shown_by_section(notebook):
    "(heading, kinds of output of each code cell below it), in order"
    sections = [("", [])]
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            sections += [(line, []) for line in "".join(cell["source"]).splitlines() if line.startswith("## ")]
        else:
            sections[-1][1].extend(output.get("data", {}) for output in cell["outputs"])
    return sections


@pytest.mark.parametrize("number", range(1, 9))
def test_a_section_with_a_picture_shows_one(finished_home, number):
    notebook, = (finished_home / "artifacts" / EPOCHS[number - 1].folder / "_executed").glob("*.ipynb")
    for heading, outputs in shown_by_section(notebook):
        if heading.startswith("## Picture"):
            assert any("image/png" in data for data in outputs), f"{notebook.name}: {heading} shows none"
    figures = json.loads((notebook.parent.parent / "figures.json").read_text(encoding="utf-8"))
    images = sum("image/png" in data for _, outputs in shown_by_section(notebook) for data in outputs)
    assert images >= len(figures), f"{notebook.name}: {images} images for {len(figures)} figures"


@pytest.mark.parametrize("number", range(1, 9))
def test_no_cell_ends_on_what_only_a_programmer_reads(finished_home, number):
    notebook, = (finished_home / "artifacts" / EPOCHS[number - 1].folder / "_executed").glob("*.ipynb")
    for heading, outputs in shown_by_section(notebook):
        for data in outputs:
            assert set(data) != {"text/plain"}, f"{notebook.name}, {heading}: {data['text/plain']}"
            assert 'class="dataframe' not in "".join(data.get("text/html", "")), f"{notebook.name}, {heading}: a bare table"


def test_the_record_verifies(finished_home):
    done = epoch(finished_home, "verify", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["problems"] == [] and report["gates"] == 8


def test_a_second_run_executes_nothing(finished_home):
    before = len(Ledger(finished_home / ".context").events())
    done = epoch(finished_home, "run", "all", "--unattended", "again")
    assert done.returncode == 0 and done.stderr.count("skipped") == 8
    assert len(Ledger(finished_home / ".context").events()) == before


def test_scores_on_unseen_rows_have_intervals_and_a_baseline(finished_home):
    report = json.loads((finished_home / "artifacts/epoch006-model-testing/test_report.json").read_text())
    score, baseline = report["metrics"]["roc_auc"], report["baseline"]["roc_auc"]["value"]
    assert baseline == 0.5 < score["low"] < score["value"] < score["high"] < 0.95
    sealed = pd.read_parquet(finished_home / DATA / "epoch004-feature-engineering/test_data.parquet")
    assert report["test_rows"] == len(sealed)
    engineered = pd.read_parquet(finished_home / DATA / "epoch004-feature-engineering/engineered_features.parquet")
    assert not set(sealed["row_id"]) & set(engineered["row_id"]) and not {"Age", "Marital"} & set(engineered)


def test_the_mark_unattended_goes_wherever_the_model_goes(finished_home):
    from epochkit.models.bundle import load_bundle
    info = load_bundle(load_settings(home=finished_home, env={}), "Production").info
    assert info["unattended"] is True and "automated test" in info["reason"]
    report = (finished_home / "artifacts/epoch008-retrospective/final_report.html").read_text()
    assert "No person decided at gates 001, 003, 004, 006, 007" in report


def test_every_criterion_is_met_missed_or_not_measured(finished_home):
    rows = json.loads((finished_home / "artifacts/epoch008-retrospective/performance_comparison.json").read_text())["criteria"]
    assert {row["outcome"] for row in rows} <= {"met", "missed", "not measured"}
    assert sum(row["outcome"] == "met" for row in rows) >= len(rows) - 1, [row for row in rows if row["outcome"] != "met"]


def test_another_table_runs_the_same_notebooks_by_its_brief_alone(tmp_path):
    done = run_all(tmp_path, DIABETES_BRIEF)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [row["state"] for row in status(tmp_path)] == ["done"] * 8
    assert missing_artifacts(tmp_path) == []
    metrics = json.loads((tmp_path / "artifacts/epoch005-model-development/all_models_metrics.json").read_text())
    assert "statsmodels" in json.dumps(metrics)


@pytest.mark.parametrize("damage, code, message", [
    ("data", 4, "data.parquet changed"), ("chain", 4, "was changed after it was written"), ("view", 4, "pipeline_state.json differs"),
    ("evidence", 4, "test_report.json changed"),
])
def test_damage_is_found(copied_home, damage, code, message):
    def replace(path, old, new):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
    if damage == "data":
        with (copied_home / DATA / "epoch002-data-wrangling/data.parquet").open("ab") as file:
            file.write(b"x")
    elif damage == "chain":
        replace(copied_home / ".context/ledger.jsonl", b'"decision":"unattended"', b'"decision":"approved"')
    elif damage == "view":
        replace(copied_home / ".context/pipeline_state.json", b"finished", b"failed")
    else:
        replace(copied_home / "artifacts/epoch006-model-testing/test_report.json", b'"value"', b'"valve"')
    done = epoch(copied_home, "verify")
    assert done.returncode == code and message in done.stdout, done.stdout


def test_changed_evidence_stops_what_comes_after(copied_home):
    path = copied_home / "artifacts/epoch006-model-testing/test_report.json"
    path.write_text(path.read_text() + " ")
    rows = status(copied_home)
    assert [row["state"] for row in rows[4:]] == ["done", "stale", "stale", "stale"] and "test_report.json changed" in rows[5]["reasons"][0]
    done = epoch(copied_home, "run", "7")
    assert done.returncode == 4 and "epoch run 6" in done.stderr


def test_a_changed_brief_makes_everything_stale(copied_home):
    brief = copied_home / EPOCHS[0].folder / "project_brief.toml"
    brief.write_text(brief.read_text().replace("seed = 42", "seed = 43"))
    assert {row["state"] for row in status(copied_home)} == {"stale"}


def test_a_changed_model_file_is_never_loaded(copied_home):
    from epochkit.models.bundle import load_bundle
    from epochkit.core.errors import RecordError
    model = next((copied_home / "artifacts/epoch005-model-development/model").glob("bundle-*.joblib"))
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(RecordError, match="was not loaded"):
        load_bundle(load_settings(home=copied_home, env={}), "latest")


def test_without_a_person_the_next_epoch_waits(tmp_path):
    (tmp_path / "brief.toml").write_text(DIABETES_BRIEF)
    first = epoch(tmp_path, "run", "1", "--brief", str(tmp_path / "brief.toml"))
    assert first.returncode == 3 and "waits for a person" in first.stderr
    assert epoch(tmp_path, "run", "2").returncode == 3
    assert epoch(tmp_path, "run", "3").returncode == 3
    assert status(tmp_path)[0]["state"] == "awaiting review"


def test_a_port_in_use_ends_in_one_line(copied_home):
    import socket
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = epoch(copied_home, "run", "7", "-p", f"port={port}")
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2 and len(lines) == 1 and str(port) in lines[0], done.stderr[-1500:]
