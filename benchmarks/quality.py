"""How good the models are that a brief alone leads to, on test rows that are given: the kit beside two plain baselines.

    .venv/bin/python benchmarks/quality.py [--seconds 60] [--keep FOLDER] [SET ...]        writes quality.json beside it

Each set runs through epochs 001 to 005 with test rows of its own; no gate is asked, because the question is the model. Half of
the seconds go to the comparison, half to tuning, counted in seconds of the processors, so that a busy machine gives the same
models. The test rows are opened here, once, when all is decided. Five sets are cut as `../shared/data/splits` says and have
peers; four more are cut here by a seed, so that the kit is not tuned to five tables. Sets that are not named keep their entry.
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss, root_mean_squared_error, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from epochkit.core.settings import load_settings
from epochkit.models.bundle import load_bundle

ROOT = load_settings(env={}).code_root
DATA = Path(os.environ.get("EPOCH_SHARED", ROOT.parent / "shared")) / "data"
# of other tools on the same rows and machine, 60 s: see the facts that were measured once, not repeated here
PEERS = {"telco_churn": {"FLAML": 0.8461, "AutoGluon": 0.8463}, "bank_marketing": {"FLAML": 0.8147, "AutoGluon": 0.8129},
         "german_credit": {"FLAML": 0.758, "AutoGluon": 0.753}, "ames_housing": {"FLAML": 22_900, "AutoGluon": 22_861},
         "bike_sharing_hour": {"FLAML": 65.2, "AutoGluon": 60.9}}
# the two plain models as they were measured beside those tools, with another encoding: the better of both counts
PLAIN_BEFORE = {"telco_churn": 0.8422, "bank_marketing": 0.8117, "german_credit": 0.770, "ames_housing": 25_697, "bike_sharing_hour": 64.7}


# sets that others on this machine were not measured on: file of the shared data, or a table that ships with an installed package
OWN = {"wine_quality": {"file": "wine_quality.csv", "target": "quality", "task": "regression", "dropped": []},
       "uci_credit_default": {"file": "uci_credit_default.parquet", "target": "Default", "task": "binary",
                              "positive_class": "1", "dropped": ["ID"]},
       "diabetes": {"package": "sklearn", "target": "target", "task": "regression", "dropped": []},
       "anes96": {"package": "statsmodels", "target": "vote", "task": "binary", "positive_class": "1", "dropped": []}}
MARGIN_AUC, MARGIN_RMSE, PEAK_MB = 0.002, 0.01, 1_500


def packaged(name: str, package: str) -> pd.DataFrame:
    "A table that ships with scikit-learn or statsmodels"
    if package == "sklearn":
        import sklearn.datasets
        return getattr(sklearn.datasets, f"load_{name}")(as_frame=True, scaled=False).frame
    import statsmodels.api
    table = getattr(statsmodels.api.datasets, name).load_pandas().data
    return table.astype({"vote": int})


def split_of(name: str) -> dict:
    "The split of a set: test positions, file, target, task, positive class, dropped columns"
    if name not in OWN:
        split = json.loads((DATA / "splits" / f"{name}.json").read_text(encoding="utf-8"))
        return split | {"path": DATA / Path(split["file"]).name}
    split, folder = OWN[name] | {"split": "random"}, Path(tempfile.gettempdir()) / "epoch-quality-tables"
    source = DATA / split["file"] if "file" in split else None
    table = packaged(name, split["package"]) if source is None else \
        pd.read_parquet(source) if source.suffix == ".parquet" else pd.read_csv(source)
    table = table.drop_duplicates(subset=[column for column in table if column not in split["dropped"]])
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)
    order = np.random.default_rng(2026).permutation(len(table))
    return split | {"path": folder / f"{name}.csv", "test": sorted(order[:len(table) // 5].tolist())}


def table_of(split: dict) -> pd.DataFrame:
    "The table without the columns that its split leaves out"
    path = split["path"]
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        with path.open(encoding="utf-8") as file:
            header = file.readline()
        table = pd.read_csv(path, low_memory=False, sep=max(",;~\t", key=header.count))
    table = table.drop(columns=[name for name in split["dropped"] if name in table])
    for name in table.columns.difference([split["target"]]):
        numbers = pd.to_numeric(table[name], errors="coerce")  # a column of numbers with a few blanks is read as text
        if numbers.notna().mean() > 0.95:
            table[name] = numbers
    return table


def brief_of(name: str, split: dict, home: Path, seconds: float) -> Path:
    "Writes the brief and the test rows of a set under `home`"
    listed = json.loads((DATA / "datasets.json").read_text(encoding="utf-8"))["datasets"]
    time_column = next((item["time_column"] for item in listed if item["name"] == name), None) if split["split"] == "time" else None
    dropped = [column for column in split["dropped"] if column != time_column]
    (home / "rows.json").write_text(json.dumps({"test": split["test"]}), encoding="utf-8")
    lines = ["[project]", f'name = "{name}"', "[data]", f'source = "file:{split["path"]}"',
             f'target = "{split["target"]}"', f"drop = {json.dumps(dropped)}"]
    if name in OWN:
        lines.append(f'task = "{split["task"]}"')
    if split.get("positive_class") is not None and split["task"] == "binary":
        lines.append(f'positive = "{split["positive_class"]}"')
    if time_column:
        lines.append(f'time = "{time_column}"')
    lines += ["[split]", 'strategy = "given"', f'test_rows_file = "{home / "rows.json"}"', "[metric]",
              f'primary = "{"rmse" if split["task"] == "regression" else "roc_auc"}"', "[budget]",
              f"fit_seconds = {seconds / 2:g}", f"tuning_minutes = {seconds / 120:g}"]
    path = home / "brief.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def scores_of(truth: np.ndarray, answers: np.ndarray, regression: bool) -> dict[str, float]:
    "rmse of numbers, or roc_auc and log_loss of probabilities"
    if regression:
        return {"rmse": float(root_mean_squared_error(truth, answers))}
    return {"roc_auc": float(roc_auc_score(truth, answers)), "log_loss": float(log_loss(truth, answers))}


def plain_scores(split: dict) -> dict[str, dict[str, float]]:
    "A linear model and HistGradientBoosting at its defaults on the raw columns: the scores on the test rows"
    table = table_of(split)
    test = np.isin(np.arange(len(table)), split["test"])
    y, X = table[split["target"]], table.drop(columns=split["target"])
    regression = split["task"] == "regression"
    if not regression:
        y = (y.astype(str) == str(split["positive_class"])).astype(int)
    numbers, labels = X.select_dtypes("number").columns, X.select_dtypes(exclude="number").columns
    X[labels] = X[labels].astype(str)
    one_hot = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=10), labels))
    ordinal = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=250), labels),
        remainder="passthrough")
    boosted = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    models = {"linear": make_pipeline(one_hot, RidgeCV() if regression else LogisticRegression(max_iter=1_000)),
              "hist_gradient_boosting": make_pipeline(ordinal, boosted(random_state=0))}
    found = {}
    for name, model in models.items():
        model.fit(X[~test], y[~test])
        answers = model.predict(X[test]) if regression else model.predict_proba(X[test])[:, 1]
        found[name] = scores_of(y[test], answers, regression)
    return found


def run_epochs(home: Path, brief: Path | None, which: str, *more: str) -> dict[str, float]:
    "Seconds of the clock and of the processors that `epoch run` took, and the peak that it measured over its processes, in MB"
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = "from epochkit.cli import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", command, "run", which, *more, "--unattended", "benchmark",
                           *(["--brief", str(brief)] if brief else [])], cwd=ROOT, env={**os.environ, "EPOCH_HOME": str(home)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"epoch run {which} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peaks = [float(text.replace(",", "")) for text in re.findall(r"peak ([\d,]+) MB", done.stdout + done.stderr)]
    return {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(used, 1), "peak_mb": max(peaks, default=0.0)}


def standing(found: dict[str, float], plain: dict[str, dict[str, float]], before: float | None, peers: dict[str, float]) -> dict:
    """How far the kit is ahead of the best plain model and of the best peer (below 0: behind), in AUC or as a share of RMSE

    before: score of the best plain model as it was measured earlier, None for never."""
    primary = "rmse" if "rmse" in found else "roc_auc"
    rivals = {"plain": [item[primary] for item in plain.values()] + [before] * (before is not None), "peers": list(peers.values())}
    ahead = {who: None if not values else min(values) / found["rmse"] - 1 if primary == "rmse" else found["roc_auc"] - max(values)
             for who, values in rivals.items()}
    if primary == "roc_auc":
        ahead["plain_log_loss"] = min(item["log_loss"] for item in plain.values()) - found["log_loss"]
    margin = MARGIN_RMSE if primary == "rmse" else MARGIN_AUC
    return ahead | {"never_behind_plain": bool(ahead["plain"] >= -margin),
                    "at_or_ahead_of_peers": None if ahead["peers"] is None else bool(ahead["peers"] >= 0)}


def measured(name: str, home: Path, seconds: float) -> dict:
    "Scores of the kit's model on the test rows, its composition, and what 005 took"
    home.mkdir(parents=True, exist_ok=True)
    split, settings = split_of(name), load_settings(home=home, env={})
    brief = brief_of(name, split, home, seconds)
    if not (settings.data(4) / "engineered_features.parquet").exists():
        run_epochs(home, brief, "1-4")
    taken = run_epochs(home, None, "5", "--force")
    bundle = load_bundle(settings, "None")
    info = json.loads((settings.artifacts(5) / "tuned_model_info.json").read_text(encoding="utf-8"))
    tuning = json.loads((settings.artifacts(5) / "tuning_summary_report.json").read_text(encoding="utf-8"))
    raw = pd.read_parquet(settings.data(2) / "data.parquet")
    features = pd.read_parquet(settings.data(4) / "engineered_features.parquet", columns=["row_id"])
    rows = raw[raw["row_id"].isin(split["test"]) & ~raw["row_id"].isin(features["row_id"])]
    scored, regression = bundle.score(rows), split["task"] == "regression"
    truth = rows[split["target"]].astype(float) if regression else \
        (rows[split["target"]].astype(str) == bundle.positive).astype(int)
    found = scores_of(truth, scored["prediction" if regression else "probability"], regression)
    plain, peers = plain_scores(split), PEERS.get(name, {})
    return {"set": name, "test_rows": len(rows), **found, "ahead": standing(found, plain, PLAIN_BEFORE.get(name), peers), "plain": plain, "peers": peers,
            "model": info["model"], "members": info["members"], "over_folds": info["value"], "trials": tuning["trials"],
            "epoch_005": taken, "peak_below_limit": taken["peak_mb"] < PEAK_MB, "commit": commit()}


def commit() -> str:
    "The commit that was measured, with a mark where files differ from it"
    return subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def keep(path: Path, found: dict, seconds: float) -> None:
    "Enters a result; those of the other sets stay"
    known = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
    results = sorted([*(item for item in known if item["set"] != found["set"]), found], key=lambda item: item["set"])
    path.write_text(json.dumps({"seconds": seconds, "results": results}, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Score the kit's models on given test rows.")
    parser.add_argument("sets", nargs="*", default=[], help="names of sets; none for all of them")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / f"epoch-quality-{commit()}",
                        help="where the homes are kept; by default one folder for each commit, because a home of other code is stale")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"), help="where results are kept")
    given = parser.parse_args()
    if not (DATA / "splits").is_dir():
        print(f"no split files under {DATA}: set EPOCH_SHARED to the folder that holds data/splits", file=sys.stderr)
        return 2
    known = [*sorted(path.stem for path in (DATA / "splits").glob("*.json")), *OWN]
    unknown = [name for name in given.sets if name not in known]
    if unknown:
        print(f"no set is called '{unknown[0]}': choose from {', '.join(known)}", file=sys.stderr)
        return 2
    for name in given.sets or known:
        found = measured(name, given.keep / name, given.seconds)
        print(json.dumps(found), flush=True)
        keep(given.json, found, given.seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
