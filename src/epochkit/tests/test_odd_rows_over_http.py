"""Every odd value of 006 through HTTP: the API answers with a finite score or one clear refusal, never with a 5xx."""
import math

import pytest
from fastapi.testclient import TestClient

from epochkit.core.errors import BadInputError
from epochkit.serving.api import create_app
from epochkit.validation.edge_cases import failing_mixture, odd_values, try_odd_values, usual_row


class Loans:
    "A bundle of three inputs whose score divides one by another"
    task, target, classes, positive, threshold, version, info = "binary", "Status", ["good", "bad"], "bad", 0.5, "1", {"model": "loans"}
    input_schema = [
        {"name": "amount", "kind": "number", "categories": None, "minimum": 100.0, "maximum": 5_000.0, "nullable": True, "example": 900.0},
        {"name": "home", "kind": "category", "categories": ["own", "rent"], "minimum": None, "maximum": None, "nullable": False, "example": "own"},
        {"name": "since", "kind": "datetime", "categories": None, "minimum": "2001-01-01T00:00:00", "maximum": "2024-01-01T00:00:00", "nullable": True,
         "example": "2015-06-01T00:00:00"}]
    input_columns = ["amount", "home", "since"]

    def score(self, rows):
        amount = rows["amount"].astype(float).fillna(900).clip(-1e6, 1e6)
        risk = 0.3 + 0.3 * (amount / (1 + amount.abs())) * (rows["home"] == "rent")
        return rows.assign(prediction="good", probability=risk)[["prediction", "probability"]]


@pytest.fixture(scope="module")
def asked():
    "The status and the body of every answer so far, and a function that asks"
    client, seen = TestClient(create_app(Loans(), api_key=""), raise_server_exceptions=False), []

    def ask(row):
        try:
            answer = client.post("/predict", json=row)
        except ValueError as error:  # JSON has no infinity: a client cannot even send it
            raise BadInputError(str(error)) from error
        seen.append((answer.status_code, answer.json()))
        if answer.status_code != 200:
            raise BadInputError(answer.json()["detail"])
        return answer.json()
    return seen, ask


def test_each_odd_value_ends_in_a_score_or_a_refusal(asked):
    seen, ask = asked
    found = try_odd_values(ask, Loans.input_schema)
    assert len(found) == 1 + sum(len(odd_values(column)) for column in Loans.input_schema)
    assert [row["case"] for row in found if row["result"] == "fail"] == []
    assert {status for status, _ in seen} == {200, 422}
    assert all(math.isfinite(body["probability"]) for status, body in seen if status == 200)


def test_odd_values_together_do_too(asked):
    seen, ask = asked
    assert failing_mixture(ask, Loans.input_schema, rows=60) is None
    assert not [status for status, _ in seen if status >= 500] and ask(usual_row(Loans.input_schema))["prediction"] == "good"
