"""Tables as they come: one with every oddity at once passes epochs 001 to 004, and what cannot pass says so in one line."""
import numpy as np
import pandas as pd
import pytest

from epochkit.core.files import read_json
from epochkit.core.settings import load_settings
from epochkit.tests.conftest import epoch


def odd_table(rows: int = 900) -> pd.DataFrame:
    "Unicode and punctuated names, dates in three formats, mixed types, infinity, all missing, 10,000-level and long-text columns, ties in time"
    rng = np.random.default_rng(7)
    signal, age = rng.normal(size=rows), rng.integers(18, 80, rows)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, rows), unit="D")
    forms = ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d")
    words = np.array(["late", "angry", "calm", "paid", "call", "visit", "refund", "again"])
    return pd.DataFrame({
        "Größe (m²)": np.where(rng.random(rows) < 0.02, np.inf, 50 + 10 * signal), "年齢": age, "e mail/ok?": rng.choice(["yes", "no"], rows),
        "price $": [f"{value:,.2f}" for value in 1_000 + 900 * rng.random(rows)], "seen on": [moment.strftime(forms[i % 3]) for i, moment in enumerate(day)],
        "mixed": [value if i % 3 else ("?" if i % 2 else str(value)) for i, value in enumerate(rng.integers(0, 9, rows))],
        "nothing": None, "city": rng.choice([f"city {i}" for i in range(10_000)], rows), "one": "same", "count": rng.poisson(3, rows), "index": rng.normal(size=rows),
        "note": [" ".join(rng.choice(words, 6)) + f" {i}" for i in range(rows)], "day": rng.integers(1, 6, rows), "row": range(rows),
        "target": np.where(rng.random(rows) < 0.02, None, np.where(signal + rng.normal(size=rows) > 0.4, "bad", "good"))})


def run_table(home, table: pd.DataFrame, extra: str = "", epochs: str = "1-4", target: str = "target"):
    home.mkdir(exist_ok=True)
    table.to_csv(home / "table.csv", index=False)
    (home / "brief.toml").write_text(f'[data]\nsource = "file:{home / "table.csv"}"\ntarget = "{target}"\n{extra}', encoding="utf-8")
    return epoch(home, "run", epochs, "--brief", str(home / "brief.toml"), "--unattended", "an odd table")


def test_a_table_with_every_oddity_becomes_features(tmp_path):
    done = run_table(tmp_path / "home", odd_table())
    assert done.returncode == 0, done.stderr[-3000:]
    settings = load_settings(home=tmp_path / "home", env={})
    roles = {name: found["role"] for name, found in read_json(settings.artifacts(1) / "column_roles.json").items()}
    expected = {"Größe (m²)": "numeric", "年齢": "numeric", "e mail/ok?": "boolean", "price $": "numeric", "seen on": "datetime", "nothing": "constant",
                "city": "high_cardinality", "one": "constant", "note": "text", "row": "id", "target": "target", "index": "numeric"}
    assert {name: roles[name] for name in expected} == expected
    data = pd.read_parquet(settings.data(2) / "data.parquet")
    assert str(data["seen on"].dtype).startswith("datetime") and data["seen on"].notna().all()
    assert data["price $"].dtype.kind == "f" and np.isfinite(data["Größe (m²)"].dropna()).all() and data["target"].notna().all()
    used = {source for item in read_json(settings.artifacts(4) / "feature_list.json")["provenance"] for source in item["sources"]}
    assert {"Größe (m²)", "年齢"} <= used and not used & {"row", "nothing", "one", "target"}


@pytest.mark.parametrize("table, extra, words", [
    (odd_table(1), "", ("target", "at least two")),
    (odd_table(60).assign(target="good"), "", ("only 'good'", "two different")),
    (odd_table(60).rename(columns={"one": "nothing"}), "", ("'nothing'", "2 times")),
    (odd_table(60).rename(columns={"one": ""}), "", ("has no name",)),
    (odd_table(60).assign(target=None), "", ("target", "no value")),
    (odd_table(60), 'known_after = ["nots"]\n', ("'nots'", "did you mean 'note'", "known_after")),
    (odd_table(60), '[cleaning.ranges]\n"agee" = [0, 120]\n', ("'agee'", "ranges in [cleaning]")),
    (odd_table(60), '[split]\nstrategy = "group"\n', ("group",)),
    (odd_table(60), '[split]\ntest_fraction = 0.7\nvalidation_fraction = 0.5\n', ("test_fraction", "validation_fraction")),
], ids=("one row", "one class", "a name twice", "no name", "no target value", "known_after", "ranges", "no group named", "parts over one"))
def test_what_cannot_pass_says_so_in_one_line(tmp_path, table, extra, words):
    done = run_table(tmp_path / "home", table, extra, "1")
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2 and len(lines) == 1, done.stderr[-2000:]
    assert all(word in lines[0] for word in words), lines[0]


@pytest.mark.datasets
def test_two_thousand_columns_pass(tmp_path):
    rng = np.random.default_rng(3)
    wide = pd.DataFrame(rng.normal(size=(400, 2_000)), columns=[f"x{i}" for i in range(2_000)])
    wide["target"] = np.where(wide["x3"] + wide["x7"] + rng.normal(size=400) > 0, "yes", "no")
    done = run_table(tmp_path / "home", wide)
    assert done.returncode == 0, done.stderr[-3000:]
