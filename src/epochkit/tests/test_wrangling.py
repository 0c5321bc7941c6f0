"""Tables nobody was warned of go through the cleaning of epoch 002: handled, or refused in one clear line."""
import json
import time
from datetime import datetime, timezone

import numpy as np
import pandas as pd
import pytest
from matplotlib.pyplot import close

from epochkit.wrangling import loading
from epochkit.cleaning import cleaner
from epochkit.core.files import sha256_of
from epochkit.core.brief import parse_brief
from epochkit.core.settings import load_settings
from epochkit.wrangling.contract import infer_contract, settle_contract
from epochkit.wrangling.loading import clean_and_gather, work_on
from epochkit.wrangling.quality import data_dictionary
from epochkit.wrangling.schema import infer_schema
from epochkit.wrangling.violations import contract_violations
from epochkit.sources.catalog import open_source
from epochkit.core.errors import DataQualityError
from epochkit.cleaning.personal_data import private_columns
from epochkit.planning.plan import make_plan
from epochkit.wrangling.gate import quality_report
from epochkit.lifecycle.resources import write_parquet
from epochkit.planning.table_rows import drawn_rows, open_rows
from epochkit.wrangling.openlineage import WrangledRun, lineage_events
from epochkit.wrangling.profile_page import profile_tables, target_change
from epochkit.wrangling.quality import empty_cells, quality_scores
from epochkit.wrangling.report import (cleaning_advice, changes_table, correlation_figure, missing_map, numbers_figure,
                                       target_figure)


@pytest.fixture(autouse=True)
def no_rules(monkeypatch):
    found = {}
    for module in (cleaner, loading):
        monkeypatch.setattr(module, "CLEANING_RULES", found)


def wrangle(home, table: pd.DataFrame, rest: str = "", data: str = "", chunk: int = 100):
    "The table through plan and cleaning as epoch 002 does it: clean table, result, plan and schema"
    home.mkdir(parents=True, exist_ok=True)
    table.to_json(home / "t.jsonl", orient="records", lines=True, date_format="iso")
    settings = load_settings(home=home, env={}).model_copy(update={"chunk_rows": chunk})
    source = open_source("file:t.jsonl", settings)
    plan = make_plan(parse_brief(f'[data]\nsource = "file:t.jsonl"\ntarget = "y"\n{data}\n{rest}'), source, settings)
    result = clean_and_gather(work_on(source, plan, settings, settings.data(2)))
    frame = pd.read_parquet(result.path)
    return frame, result, plan, infer_schema(frame, "y", plan.data.classes, result.kinds)


def a_table(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    numbers = np.random.default_rng(seed)
    return pd.DataFrame({"x": numbers.normal(size=rows).round(4), "n": numbers.integers(0, 50, rows), "w": numbers.choice(["own", "rent"], rows),
                         "y": numbers.choice(["good", "bad"], rows)})


COLUMNS = {
    "an all-missing column": lambda r, n: [None] * n, "a constant": lambda r, n: ["same"] * n, "mixed types": lambda r, n: [1, "a", 2.5, True] * (n // 4),
    "infinite values": lambda r, n: ["inf", "-inf", "1.5", "2"] * (n // 4), "10,000 labels": lambda r, n: [f"label {i}" for i in range(n)],
    "unicode": lambda r, n: ["Ünï", "漢字", "a\u0301", "😀"] * (n // 4), "dates in three formats": lambda r, n: ["2024-01-31", "31.01.2024", "31 Jan 2024"] * (n // 3),
    "index": lambda r, n: range(n), "count": lambda r, n: [1, 2] * (n // 2), "with.dot/slash and space": lambda r, n: ["a/b", "c"] * (n // 2),
    "'quote\" $x^2$ %d {0} [a] \\": lambda r, n: ["%s", "{0}"] * (n // 2), "true or false": lambda r, n: [True, None, False, True] * (n // 4),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_kind_goes_through_in_any_chunking(tmp_path, name):
    table = a_table().assign(**{name: list(COLUMNS[name](None, 240))})
    frame, result, plan, schema = wrangle(tmp_path / "a", table)
    other, again, _, _ = wrangle(tmp_path / "b", table, chunk=17)
    assert sha256_of(result.path) == sha256_of(again.path) and result.steps == again.steps and result.advice == again.advice
    report = quality_report(result, frame, schema, plan)
    contract, _ = settle_contract(tmp_path / "schema.toml", infer_contract(frame, plan, result.kinds))
    assert report["violations"] == [] and contract_violations(frame, contract) == [] and name in frame
    json.dumps([report, data_dictionary(frame, plan.columns, (), result.kinds)], allow_nan=False)
    assert settle_contract(tmp_path / "schema.toml", contract)[1] == "written from an earlier batch"


def everything_told(frame, result, plan):
    "Every value and claim of epoch 002 about a clean table, in memory or on disk"
    now = datetime(2024, 6, 1, tzinfo=timezone.utc)
    private = private_columns(plan) | {*result.personal}
    dictionary, schema = data_dictionary(frame, plan.columns, private, result.kinds, plan.data), infer_schema(frame, "y", plan.data.classes, result.kinds)
    contract = infer_contract(frame, plan, result.kinds, private)
    contract.columns["x"].maximum, contract.columns["w"].labels = 0.5, ["own"]
    report = quality_report(result, frame, schema, plan, contract_violations(frame, contract, private), now)
    run = WrangledRun("r1", now, now, "p", "data.parquet", report)
    some = frame if isinstance(frame, pd.DataFrame) else drawn_rows(frame, len(frame), 1)[0]
    close("all")
    drawn = [missing_map(frame), target_figure(frame, plan), numbers_figure(frame, plan), correlation_figure(some, plan)]
    return {"dictionary": dictionary, "schema": schema, "contract": contract.rules(), "report": report, "empty": empty_cells(frame).to_dict(),
            "target": target_change(frame, plan), "lineage": lineage_events(result, plan, frame, run), "claims": [said for _, said in filter(None, drawn)],
            "profile": {kind: table.to_json() for kind, table in profile_tables(frame, dictionary).items()}, "scores": quality_scores(frame, [])}


@pytest.mark.parametrize("held", [1, 2_600])
@pytest.mark.parametrize("without, key", [((), ["index"]), (("index", "10,000 labels"), None)])
def test_a_table_on_disk_is_told_as_one_in_memory(tmp_path, monkeypatch, held, without, key):
    rng = np.random.default_rng(3)
    table = a_table(1_200).assign(**{name: list(make(None, 1_200)) for name, make in COLUMNS.items()})
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, 1_200), "D")
    table = table.assign(start=start.astype(str), end=(start + pd.to_timedelta(rng.integers(0, 30, 1_200), "D")).astype(str), part=table["n"] * rng.random(1_200))
    table.loc[:2, "part"], table.loc[9:40, "x"], table.loc[50:55, "w"] = 99.0, None, "OWN"
    frame, result, plan, _ = wrangle(tmp_path, pd.concat([table, table.head(9)]).drop(columns=[*without]), '[cleaning]\nduplicates = "drop"',
                                     'time = "start"', chunk=200)
    monkeypatch.setattr("epochkit.planning.table_rows._HELD_CELLS", held)
    rows = open_rows(write_parquet(frame, tmp_path / "parts.parquet", limit_mb=0.03).path)
    assert len(rows.files) > 1
    memory, disk = everything_told(frame, result, plan), everything_told(rows, result, plan)
    report = memory["report"]
    assert report["key"] == (key or [name for name in frame if name != "row_id"]) and report["scores"]["cleaned"]["consistency"] < 1
    assert {rule["rule"] for rule in report["rules"]} >= {"part ≤ n", "start ≤ end"} and report["contract"]
    assert memory["empty"]["x"] >= 32 and "depend on the place" in memory["claims"][0]
    for what in memory:
        assert disk[what] == memory[what], what


def test_what_was_read_is_what_was_meant(tmp_path):
    table = a_table().assign(**{name: list(make(None, 240)) for name, make in COLUMNS.items()})
    frame, result, plan, _ = wrangle(tmp_path, table)
    assert (frame["dates in three formats"] == pd.Timestamp("2024-01-31")).all()
    assert frame["infinite values"].isna().sum() == 120 and result.count("infinite").emptied == 120
    assert set(frame["unicode"]) == {"Ünï", "漢字", "á", "😀"} and frame["mixed types"].dtype == "str"
    assert result.kinds["10,000 labels"] == "text" and len(frame) == 240
    for draw in (missing_map, lambda frame: numbers_figure(frame, plan), lambda frame: correlation_figure(frame, plan)):
        assert draw(frame)[1]


def test_rows_without_a_target_go_and_nothing_left_is_one_clear_line(tmp_path):
    table = a_table()
    table.loc[:99, "y"] = None
    frame, result, _, _ = wrangle(tmp_path / "some", table)
    assert len(frame) == 140 and result.count("missing_target").removed == 100 and "missing_target removed 100 of 240" in result.warnings[0]
    with pytest.raises(DataQualityError, match="no row is left of 240: 'nobody' removed 240"):
        cleaner.cleaning_rule("nobody", columns=("x",))(lambda rows: rows[rows["x"] > 99])
        wrangle(tmp_path / "none", a_table())


def test_two_thousand_columns_are_quick(tmp_path):
    numbers = np.random.default_rng(0)
    wide = pd.DataFrame(numbers.normal(size=(60, 2000)).round(3)).add_prefix("c").assign(y=["good", "bad"] * 30)
    started = time.process_time()
    profile = cleaner.profile_table([wide[:30], wide[30:]], "y")
    table, counts = cleaner.Cleaner(profile.kinds, "y").clean(wide)
    assert table.shape == wide.shape and time.process_time() - started < 20, "a cost per pair of columns"


BRIEF = """
[cleaning]
missing = {job = ["not told"]}
ranges = {age = [0, 120]}
units = {height = "m"}
spelling = {city = {"Muenster" = "Münster"}}
dates = {seen = "%m/%d/%Y"}
hash = ["mail"]
mask = ["phone"]
"""


def people(rows: int = 240) -> pd.DataFrame:
    return a_table(rows).assign(
        mail=[f"ada.lovelace{i}@example.org" for i in range(rows)], phone=[f"+49 30 55{i:05d}" for i in range(rows)],
        card=["4111 1111 1111 1111"] * rows, job=["clerk", "not told", "nurse", "Unknown"] * (rows // 4), age=[31, 45, 999, 140] * (rows // 4),
        height=["180 cm", "1.65 m"] * (rows // 2), city=["Köln", "köln", "Köln", "Muenster"] * (rows // 4), seen=["01/02/2024", "02/03/2024"] * (rows // 2))


def test_the_briefs_cleaning_is_done_and_told_step_by_step(tmp_path):
    frame, result, plan, schema = wrangle(tmp_path, people(), BRIEF)
    assert set(frame["city"]) == {"Köln", "Münster"} and set(frame["height"]) == {1.8, 1.65} and schema["columns"]["height"]["unit"] == "m"
    assert set(frame["seen"]) == {pd.Timestamp("2024-01-02"), pd.Timestamp("2024-02-03")} and frame["age"].isna().sum() == 120
    told = changes_table([vars(count) for count in result.steps], most=1000).set_index(["step", "column"])["sample (row: before → after)"]
    assert told["impossible_values", "age"].startswith("2: 999.0 → missing") and told["units", "height"].startswith("0: 180.0 → 1.8")
    assert told["named_missing", "job"].startswith("1: not told → missing") and told["hashed", "mail"] == "not shown"
    about = cleaning_advice(quality_report(result, frame, schema, plan)).set_index(["column", "about"])["cells"].to_dict()
    assert about == {("card", "personal"): 240, ("job", "missing"): 60}
    assert ["personal data in column 'card'" in text for text in result.warnings].count(True) == 1


def test_personal_values_are_in_no_report_sample_or_error(tmp_path):
    table = people()
    table["mail2"] = table["mail"]
    frame, result, plan, _ = wrangle(tmp_path, table, BRIEF, 'protected = ["w"]')
    private = private_columns(plan) | {*result.personal}
    schema = infer_schema(frame, "y", plan.data.classes, result.kinds, private)
    contract = infer_contract(frame, plan, result.kinds, private)
    later = frame.assign(mail2=None, card=7.0, phone="+1 555 1234567")
    shown = json.dumps([quality_report(result, frame, schema, plan), schema, contract, contract_violations(later, contract, private),
                        data_dictionary(frame, plan.columns, private, result.kinds), str(result)], default=str, ensure_ascii=False)
    for secret in ("lovelace", "4111", "55000", "1234567"):
        assert secret not in shown
    for record in tmp_path.rglob("part-*.json"):
        assert "lovelace" not in record.read_text() and "4111" not in record.read_text()
