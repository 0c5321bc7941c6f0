"""The leak audit on the eight sets of ../shared/data, through brief, plan, roles and split as in a project; and its speed on a wide and a long table."""
import json
import time

import numpy as np
import pandas as pd
import pytest

from epochkit.leaks import audit as leak_audit
from epochkit.core.brief import parse_brief
from epochkit.core.settings import load_settings
from epochkit.sources.catalog import open_source
from epochkit.exploration.columns import column_kinds
from epochkit.planning.plan import make_plan
from epochkit.planning.splits import split_rows
from epochkit.tests.conftest import ROOT

SHARED = ROOT.parent / "shared" / "data"
FACTS = {item["name"]: item for item in json.loads((SHARED / "datasets.json").read_text())["datasets"]} if (SHARED / "datasets.json").is_file() else {}
pytestmark = [pytest.mark.datasets, pytest.mark.skipif(not FACTS, reason="the folder ../shared/data with reference tables is absent here")]
SETS = ("ames_housing", "bank_marketing", "bike_sharing_hour", "cmapss_fd001", "german_credit", "telco_churn", "uci_credit_default", "wine_quality")


def planned(name: str, **more: object) -> tuple[pd.DataFrame, object, pd.Series]:
    "Analysed rows, plan and parts of a set, from the brief that a person with its facts would write"
    facts = FACTS[name]
    lines = ["[data]", f'source = "file:{SHARED / facts["file"]}"', f'target = "{facts["target"]}"', f'task = "{facts["task"]}"', f"ids = {json.dumps(facts['id_columns'])}"]
    lines += [f'{key} = "{facts[column]}"' for key, column in (("time", "time_column"), ("group", "group_column"), ("positive", "positive_class")) if facts[column]]
    brief = parse_brief("\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in more.items())]))
    settings = load_settings(env={})
    plan = make_plan(brief, open_source(brief.data.source, settings), settings)
    path = SHARED / facts["file"]
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **facts["read_options"])
    frame[facts["target"]] = frame[facts["target"]].astype(float if facts["task"] == "regression" else str)
    frame = frame.assign(row_id=range(len(frame)))
    parts = split_rows(frame, plan, settings.folder(1))
    seen = frame[parts != "test"]
    return seen, plan, parts[seen.index]


def audited(name: str, **more: object) -> dict[str, object]:
    seen, plan, parts = planned(name, **more)
    return leak_audit.audit_plan(seen, plan, column_kinds(seen, plan), parts)


def columns(report: dict[str, object], severity: str) -> set[str]:
    return {item["column"] for item in report["suspects"] if item["severity"] == severity}


@pytest.mark.parametrize("name", SETS)
def test_known_leaks_are_critical_and_nothing_else_is(name):
    report = audited(name)
    assert columns(report, "critical") == set(FACTS[name]["leakage_columns"])
    assert columns(report, "warning") == set()
    assert set(report) >= {"suspects", "single_column_scores", "measure", "thresholds", "repeated_in_validation", "on_leak", "groups", "train_against_validation"}
    json.dumps(report)


def test_what_the_brief_says_is_known_afterwards_is_settled_on_real_data():
    report = audited("german_credit", known_after=["duration"])
    assert columns(report, "critical") == set() and [item["column"] for item in report["settled"]] == ["duration"]
    assert "duration" not in report["single_column_scores"]


def test_a_table_ordered_by_time_tells_training_from_validation_and_says_what_follows():
    sides = audited("bike_sharing_hour")["train_against_validation"]
    assert sides["auc"] > 0.9 and "changes over time" in sides["follows"] and "yr" in [item["column"] for item in sides["columns"]]
    assert "look alike" in audited("telco_churn")["train_against_validation"]["follows"]


def test_repeated_rows_of_wine_are_seen_where_the_split_tears_them():
    seen, plan, _ = planned("wine_quality")
    by_chance = pd.Series(np.random.default_rng(0).choice(["train", "validation"], len(seen)), index=seen.index)
    found = leak_audit.audit_plan(seen, plan, column_kinds(seen, plan), by_chance)["repeated_in_validation"]
    assert found["rows"] > 200 and found["same_outcome"] > 0.95


def test_engines_torn_apart_are_a_warning():
    seen, plan, _ = planned("cmapss_fd001")
    torn = plan.model_copy(update={"split": plan.split.model_copy(update={"strategy": "random"})})
    by_chance = pd.Series(np.random.default_rng(0).choice(["train", "validation"], len(seen)), index=seen.index)
    found = {item["column"]: item["check"] for item in leak_audit.audit_plan(seen, torn, column_kinds(seen, plan), by_chance)["suspects"]}
    assert found.get("unit") == "group in both parts"


def test_thirty_thousand_rows_and_five_hundred_columns_take_seconds():
    seen, plan, parts = planned("uci_credit_default")
    start = time.process_time()
    leak_audit.audit_plan(seen, plan, column_kinds(seen, plan), parts)
    assert time.process_time() - start < 15
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(5_000, 500)), columns=[f"x{number}" for number in range(500)])
    wide["y"] = np.where(wide["x0"] + 2 * rng.normal(size=5_000) > 0, "yes", "no")
    start = time.process_time()
    assert leak_audit.audit(wide, "y", dict.fromkeys([name for name in wide if name != "y"], "number"), True)["suspects"] == []
    assert time.process_time() - start < 30
