"""A value that stands exactly at a limit keeps it, and the next float beyond does not: contract, brief, plan, service."""
import numpy as np
import pandas as pd
import pytest

from epochkit.cleaning.raw_rows import RowCleaner
from epochkit.cleaning.steps import empty_impossible
from epochkit.models.metrics import decide
from epochkit.planning.plan import meets
from epochkit.serving.schema import row_warnings
from epochkit.tests.test_wrangling_contract import a_plan
from epochkit.wrangling.contract import infer_contract, read_contract, settle_contract
from epochkit.wrangling.quality import timeliness
from epochkit.wrangling.violations import contract_violations


def settled(table: pd.DataFrame, tmp_path):
    "The contract of a table as it is read back from its file"
    settle_contract(tmp_path / "schema.toml", infer_contract(table, a_plan(()), {}))
    return read_contract(tmp_path / "schema.toml")


@pytest.mark.parametrize("scale", (1e-300, 1e-9, 1e-3, 1.0, 7.77, 1e9, 1e15, 1e300))
@pytest.mark.parametrize("values", ([1.0, 2.0, 3.5], [-3.0, 0.1, 0.3], [-2.0, -1.9, -1.0], [0.1, 0.2, 0.30000000000000004]))
def test_the_limits_of_a_contract_belong_to_it(tmp_path, scale, values):
    table = pd.DataFrame({"row_id": [0, 1, 2], "x": np.array(values) * scale})
    contract = settled(table, tmp_path)
    rule = contract.columns["x"]
    assert not contract_violations(table, contract), "a batch that the contract was written from"
    at = pd.DataFrame({"row_id": [0, 1], "x": [float(rule.minimum), float(rule.maximum)]})
    assert not contract_violations(at, contract)
    beyond = pd.DataFrame({"row_id": [0, 1], "x": [np.nextafter(at["x"][0], -np.inf), np.nextafter(at["x"][1], np.inf)]})
    assert [found["row_ids"] for found in contract_violations(beyond, contract)] == [[0], [1]]


@pytest.mark.parametrize("values", ([2**53 + 1, 2**53 + 9], [2**62, 2**62 + 3], [0, 1], [-5, 5]))
def test_the_limits_of_whole_numbers_belong_to_the_contract(tmp_path, values):
    table = pd.DataFrame({"row_id": [0, 1], "x": pd.array(values, dtype="Int64")})
    assert not contract_violations(table, settled(table, tmp_path))


def test_the_first_moment_belongs_to_the_contract(tmp_path):
    moments = pd.to_datetime(["2024-01-31T10:11:12.000001", "2024-02-01"], format="ISO8601")
    table = pd.DataFrame({"row_id": [0, 1], "t": moments})
    contract = settled(table, tmp_path)
    assert not contract_violations(table, contract)
    early = table.assign(t=table["t"] - pd.Timedelta(microseconds=1))
    assert contract_violations(early, contract)[0]["row_ids"] == [0]


def test_a_range_of_the_brief_holds_its_ends():
    table = pd.DataFrame({"age": [0.0, 120.0, np.nextafter(0.0, -1), np.nextafter(120.0, 121)]})
    assert empty_impossible(table, {"age": (0, 120)})["age"].isna().tolist() == [False, False, True, True]
    rows = RowCleaner({"age": "number"}, wishes={"ranges": {"age": [0, 120]}}).read([{"age": "120"}, {"age": "120.0000001"}], ["age"])
    assert rows.frame["age"].isna().tolist() == [False, True] and list(rows.notes) == [1]


def test_a_limit_of_the_plan_is_met_by_itself():
    assert meets(0.7, ">=", 0.7) and not meets(np.nextafter(0.7, 0), ">=", 0.7)
    assert meets(5, "<=", 5) and not meets(np.nextafter(5.0, 6), "<=", 5)


def test_a_table_of_exactly_the_age_that_is_allowed_is_timely():
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-05-02"])})
    assert timeliness(frame, "t", 30, pd.Timestamp("2024-06-01", tz="UTC"))["score"] == 1.0
    assert timeliness(frame, "t", 30, pd.Timestamp("2024-06-01T01:00", tz="UTC"))["score"] < 1.0


def test_a_probability_at_the_threshold_is_positive():
    at = np.array([[0.5, 0.5], [0.5 + 1e-15, 0.5 - 1e-15]])
    assert decide(at, 0.5).tolist() == [1, 0]


def test_a_value_at_the_end_of_the_training_range_is_usual():
    schema = [{"name": "x", "kind": "number", "categories": None, "minimum": 0.1, "maximum": 0.3, "nullable": True, "example": 0.2}]
    assert row_warnings({"x": 0.1}, schema) == row_warnings({"x": 0.3}, schema) == []
    assert row_warnings({"x": np.nextafter(0.3, 1)}, schema) and row_warnings({"x": np.nextafter(0.1, 0)}, schema)
