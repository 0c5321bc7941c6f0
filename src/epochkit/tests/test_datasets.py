"""Real tables pass epochs 001 to 004 by brief alone: sensible roles, known traps found, no leak; `make test-data` shows the table."""
import json
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from epochkit.core.files import read_json
from epochkit.core.settings import load_settings
from epochkit.lifecycle.state import project_state
from epochkit.tests.conftest import ROOT, epoch

FOLDER = ROOT.parent / "shared" / "data"
NOTES = {item["name"]: item for item in json.loads((FOLDER / "datasets.json").read_text())["datasets"]} if FOLDER.is_dir() else {}


class Table(NamedTuple):
    "What the brief says about a table, and what its quirks call for"
    source: str
    target: str
    extra: str = ""
    roles: dict[str, str] = {}
    leaks: tuple[str, ...] = ()


def noted(name: str, extra: str = "", **roles: str) -> Table:
    "One of the sets described in datasets.json; absent, the test is skipped"
    note = NOTES.get(name, {"file": "", "target": "", "leakage_columns": [], "id_columns": []})
    facts = "".join(f'{key} = "{note[field]}"\n' for key, field in (("time", "time_column"), ("group", "group_column"), ("positive", "positive_class"))
                    if note.get(field))
    ask = 'task = "multiclass"\n' if note.get("task") == "multiclass" else ""
    expected = {column: "id" for column in note["id_columns"]} | {note["target"]: "target"} | roles
    return Table(f"file:{FOLDER / note['file']}", note["target"], facts + ask + extra, expected, tuple(note["leakage_columns"]))


TABLES = {
    "german_credit": noted("german_credit", 'protected = ["personal_status", "age", "foreign_worker"]\n', duration="numeric", purpose="categorical"),
    "telco_churn": noted("telco_churn", TotalCharges="numeric", SeniorCitizen="boolean", Contract="categorical"),
    "bank_marketing": noted("bank_marketing", job="categorical", **{"emp.var.rate": "numeric"}),
    "ames_housing": noted("ames_housing", **{"MS SubClass": "categorical", "Yr Sold": "time", "Lot Area": "numeric"}),
    "bike_sharing_hour": noted("bike_sharing_hour", dteday="time", season="categorical", temp="numeric"),
    "cmapss_fd001": noted("cmapss_fd001", unit="group", cycle="time", setting_3="constant", s1="constant", s19="constant", s2="numeric"),
    "wine_quality": noted("wine_quality", color="categorical", alcohol="numeric"),
    "uci_credit_default": noted("uci_credit_default", 'protected = ["SEX", "AGE", "MARRIAGE"]\n', SEX="categorical", EDUCATION="categorical",
                                BILL_AMT1="numeric"),
    "demo:breast_cancer": Table("demo:breast_cancer", "diagnosis", "", {"mean_radius": "numeric", "diagnosis": "target"}),
}


pytestmark = pytest.mark.datasets


def brief_of(table: Table) -> str:
    return f'[project]\nname = "table"\n[data]\nsource = "{table.source}"\ntarget = "{table.target}"\n{table.extra}'


@pytest.fixture(scope="module", params=TABLES, ids=str)
def explored(request, tmp_path_factory):
    "A home in which epochs 001 to 004 ran on one table"
    name = request.param
    if not name.startswith("demo:") and name not in NOTES:
        pytest.skip(f"the set {name} is not here: ../shared/data is absent")
    home = tmp_path_factory.mktemp(name.replace(":", "_"))
    (home / "brief.toml").write_text(brief_of(TABLES[name]), encoding="utf-8")
    started = time.monotonic()
    done = epoch(home, "run", "1-4", "--brief", str(home / "brief.toml"), "--unattended", "test of real tables")
    assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
    settings = load_settings(home=home, env={})
    request.config.real_tables = [*getattr(request.config, "real_tables", []), _row(name, settings, time.monotonic() - started)]
    return name, TABLES[name], settings


def _row(name, settings, seconds):
    states = project_state(settings)[:4]
    leaks = read_json(settings.artifacts(3) / "leak_audit.json")["suspects"]
    critical = [item["column"] for item in leaks if item["severity"] == "critical"]
    plan = read_json(settings.folder(1) / "project_plan.json")
    features = read_json(settings.artifacts(4) / "feature_list.json")["features"]
    return {"set": name, "rows": plan["profile"]["rows"], "columns": plan["profile"]["columns"], "features": len(features),
            "split": plan["split"]["strategy"], "ids": ", ".join(name for name, role in plan["columns"].items() if role["role"] == "id") or "-",
            "known leaks": ", ".join(TABLES[name].leaks) or "-", "critical": ", ".join(critical) or "-",
            "warnings": len(leaks) - len(critical), **{f"{state.epoch:03d} s": state.seconds for state in states},
            "whole s": round(seconds, 1), "peak MB": max(state.peak_mb or 0 for state in states)}


def test_roles_are_sensible(explored):
    name, table, settings = explored
    roles = read_json(settings.artifacts(1) / "column_roles.json")
    assert {column: roles[column]["role"] for column in table.roles} == table.roles
    assert all(found["reason"] for found in roles.values())


def test_known_leaks_are_critical_and_nothing_else_is(explored):
    name, table, settings = explored
    suspects = read_json(settings.artifacts(3) / "leak_audit.json")["suspects"]
    assert {item["column"] for item in suspects if item["severity"] == "critical"} == set(table.leaks)


def test_no_leak_id_or_protected_column_becomes_a_feature(explored):
    name, table, settings = explored
    plan = read_json(settings.folder(1) / "project_plan.json")
    barred = {*table.leaks, *plan["data"]["protected"], table.target, *(column for column, role in plan["columns"].items() if role["role"] == "id")}
    used = {source for item in read_json(settings.artifacts(4) / "feature_list.json")["provenance"] for source in item["sources"]}
    assert used and not used & barred


def test_the_parts_keep_rows_groups_and_time_apart(explored):
    name, table, settings = explored
    plan = read_json(settings.folder(1) / "project_plan.json")
    data = pd.read_parquet(settings.data(2) / "data.parquet").set_index("row_id")
    known = pd.read_parquet(settings.data(4) / "engineered_features.parquet", columns=["row_id", "split"]).set_index("row_id")["split"]
    test = pd.read_parquet(settings.data(4) / "test_data.parquet", columns=["row_id"])["row_id"]
    assert len(test) and not set(test) & set(known.index) and set(test) | set(known.index) == set(data.index)
    parts = known.reindex(data.index).fillna("test")
    if plan["data"]["group"]:
        assert (parts.groupby(data[plan["data"]["group"]]).nunique() == 1).all()
    elif plan["data"]["time"]:
        moments = data[plan["data"]["time"]].groupby(parts).agg(["min", "max"])
        assert moments.loc["train", "max"] < moments.loc["validation", "min"] and moments.loc["validation", "max"] < moments.loc["test", "min"]


def test_findings_are_complete_and_the_data_is_good_enough(explored):
    name, table, settings = explored
    findings = read_json(settings.artifacts(3) / "eda_insights.json")["findings"]
    assert len(findings) >= 5 and all(item["claim"] and item["consequence"] and item["action"] for item in findings)
    assert read_json(settings.artifacts(2) / "data_quality_report.json")["scores"]["cleaned"]["overall"] > 0.9
