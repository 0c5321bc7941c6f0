"""How good the models are that a brief alone leads to, on test rows that are given: the kit beside two plain baselines.

    .venv/bin/python benchmarks/quality.py [--seconds 60] [--keep FOLDER] [SET ...]        writes quality.json beside it

Each set of `../shared/data/splits` runs through epochs 001 to 005 with the test rows of its file; no gate is asked, because the question
is the model. Half of the seconds go to the comparison, half to tuning. The test rows are opened here, once, when all is decided.
"""
import argparse
import json
import os
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


def split_of(name: str) -> dict:
    "The split file of a set: test positions, target, task, positive class, dropped columns"
    return json.loads((DATA / "splits" / f"{name}.json").read_text(encoding="utf-8"))


def table_of(split: dict) -> pd.DataFrame:
    "The table without the columns that its split leaves out"
    path = DATA / Path(split["file"]).name
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, low_memory=False)
    return table.drop(columns=[name for name in split["dropped"] if name in table])


def brief_of(name: str, split: dict, home: Path, seconds: float) -> Path:
    "Writes the brief and the test rows of a set under `home`"
    listed = json.loads((DATA / "datasets.json").read_text(encoding="utf-8"))["datasets"]
    time_column = next((item["time_column"] for item in listed if item["name"] == name), None) if split["split"] == "time" else None
    dropped = [column for column in split["dropped"] if column != time_column]
    (home / "rows.json").write_text(json.dumps({"test": split["test"]}), encoding="utf-8")
    lines = ["[project]", f'name = "{name}"', "[data]", f'source = "file:{DATA / Path(split["file"]).name}"',
             f'target = "{split["target"]}"', f"drop = {json.dumps(dropped)}"]
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


def plain_scores(split: dict) -> dict[str, float]:
    "A linear model and HistGradientBoosting at its defaults on the raw columns: the score on the test rows"
    table = table_of(split)
    test = np.isin(np.arange(len(table)), split["test"])
    y, X = table[split["target"]], table.drop(columns=split["target"])
    regression = split["task"] == "regression"
    if not regression:
        y = (y.astype(str) == str(split["positive_class"])).astype(int)
    numbers, labels = X.select_dtypes("number").columns, X.select_dtypes(exclude="number").columns
    X[labels] = X[labels].astype(str)
    one_hot = make_column_transformer((make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
                                      (OneHotEncoder(handle_unknown="ignore", min_frequency=10), labels))
    ordinal = make_column_transformer((OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=250), labels),
                                      remainder="passthrough")
    models = {"linear": make_pipeline(one_hot, RidgeCV() if regression else LogisticRegression(max_iter=1_000)),
              "hist_gradient_boosting": make_pipeline(ordinal, HistGradientBoostingRegressor(random_state=0) if regression
                                                      else HistGradientBoostingClassifier(random_state=0))}
    found = {}
    for name, model in models.items():
        model.fit(X[~test], y[~test])
        found[name] = float(root_mean_squared_error(y[test], model.predict(X[test]))) if regression else \
            float(roc_auc_score(y[test], model.predict_proba(X[test])[:, 1]))
    return found


def run_epochs(home: Path, brief: Path, which: str) -> float:
    "Seconds that `epoch run` took for the epochs"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "from epochkit.cli import main; raise SystemExit(main())", "run", which, "--unattended", "benchmark", "--brief", str(brief)],
                   check=True, cwd=ROOT, env={**os.environ, "EPOCH_HOME": str(home)}, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measured(name: str, home: Path, seconds: float) -> dict:
    "Scores of the kit's model on the test rows, its composition, and the seconds of 005"
    home.mkdir(parents=True, exist_ok=True)
    split, settings = split_of(name), load_settings(home=home, env={})
    brief = brief_of(name, split, home, seconds)
    if not (settings.data(4) / "engineered_features.parquet").exists():
        run_epochs(home, brief, "1-4")
    taken = run_epochs(home, brief, "5")
    bundle = load_bundle(settings, "None")
    info = json.loads((settings.artifacts(5) / "tuned_model_info.json").read_text(encoding="utf-8"))
    raw = pd.read_parquet(settings.data(2) / "data.parquet")
    features = pd.read_parquet(settings.data(4) / "engineered_features.parquet", columns=["row_id"])
    rows = raw[raw["row_id"].isin(split["test"]) & ~raw["row_id"].isin(features["row_id"])]
    scored = bundle.score(rows)
    regression = split["task"] == "regression"
    truth = rows[split["target"]].astype(float) if regression else (rows[split["target"]].astype(str) == bundle.positive).astype(int)
    scores = {"rmse": float(root_mean_squared_error(truth, scored["prediction"]))} if regression else \
        {"roc_auc": float(roc_auc_score(truth, scored["probability"])), "log_loss": float(log_loss(truth, scored["probability"]))}
    return {"set": name, "test_rows": len(rows), **scores, "plain": plain_scores(split), "peers": PEERS.get(name, {}), "model": info["model"],
            "members": info["members"], "over_folds": info["value"], "epoch_005_seconds": round(taken, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Score the kit's models on given test rows.")
    parser.add_argument("sets", nargs="*", default=[], help="names of split files; none for all of them")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "epoch-quality")
    given = parser.parse_args()
    if not (DATA / "splits").is_dir():
        print(f"no split files under {DATA}: set EPOCH_SHARED to the folder that holds data/splits", file=sys.stderr)
        return 2
    names = given.sets or sorted(path.stem for path in (DATA / "splits").glob("*.json"))
    results = []
    for name in names:
        results.append(measured(name, given.keep / name, given.seconds))
        print(json.dumps(results[-1]), flush=True)
    (Path(__file__).parent / "quality.json").write_text(json.dumps({"seconds": given.seconds, "results": results}, indent=1) + "\n",
                                                        encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
