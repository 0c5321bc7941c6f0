"""A small table with every kind of column and its plan, for the tests of pictures."""
from functools import cache
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd

from epochkit.exploration.explore import Exploration, explore


def example(task: str = "binary", n: int = 400, **data) -> tuple[pd.DataFrame, SimpleNamespace]:
    "Rows, (n, 10), and a plan for the task; `data` replaces keys of plan.data"
    matplotlib.use("agg")
    rng = np.random.default_rng(11)
    income = rng.gamma(3, 900, n)
    status = np.where(rng.random(n) < 1 / (1 + income / 1200), "bad", "good")
    rows = pd.DataFrame({"row_id": range(n), "income": income, "assets": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(8, 1.4, n)), "home": rng.choice(["rent", "owner", "parents"], n),
                         "age": rng.integers(18, 70, n), "day": pd.date_range("2022-01-01", periods=n), "unit": np.arange(n) // 20, "sex": rng.choice(["f", "m"], n),
                         "note": rng.choice(["all is fine here", "late again and again"], n), "y": status})
    if task == "multiclass":
        rows["y"] = np.where(rows["age"] > 60, "late", rows["y"])
    if task == "regression":
        rows["y"] = income + rng.normal(0, 800, n)
    roles = {"income": "numeric", "assets": "numeric", "home": "categorical", "age": "numeric", "row_id": "id", "note": "text", "y": "target"}
    data = {"task": task, "target": "y", "positive": "bad" if task == "binary" else "", "on_leak": "drop", "ids": [], "time": "", "group": "", "protected": []} | data
    columns = {name: {"role": role, "reason": ""} for name, role in roles.items()} | {"day": {"role": "time", "kind": "datetime"}, "unit": {"role": "group"}}
    plan = SimpleNamespace(columns=columns, data=SimpleNamespace(**data), classification=task != "regression", feature_columns=["income", "assets", "home", "age", "note"],
                           split=SimpleNamespace(strategy="random"))
    return rows, plan


@cache
def found_of(task: str) -> Exploration:
    "Everything measured on the example, once per task"
    return explore(*example(task))
