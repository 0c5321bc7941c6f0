"""What it costs that `epoch score` keeps its rows: seconds, rows/s and MB of the store for N rows; writes scored_rows.json.

    EPOCH_HOME=HOME .venv/bin/python benchmarks/scored_rows.py --rows 1000000

HOME is a home whose epoch 007 is done. The rows are those of its source, again and again with new numbers in the columns that are numbers, so
that no two are alike. The same table is scored by the Production model without a store, then with one, into CSV.
"""
import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from epochkit.core.settings import load_settings
from epochkit.models.bundle import load_bundle
from epochkit.models.scoring import score_source
from epochkit.planning.plan import load_plan
from epochkit.serving.scored_rows import ScoredRows
from epochkit.serving.store.writer import PredictionStore
from epochkit.sources.catalog import open_source


def table(settings, rows: int, path: Path) -> None:
    "A CSV of `rows` raw rows of the project's source"
    frame, made, random = next(open_source(load_plan(settings).data.source, settings).chunks(10_000)), 0, np.random.default_rng(7)
    numbers = frame.select_dtypes("number").columns
    while made < rows:
        some = frame.head(rows - made).copy()
        some[numbers] = (some[numbers] * random.uniform(0.9, 1.1, (len(some), 1))).round(1)
        some.to_csv(path, mode="a", header=not made, index=False)
        made += len(some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    settings = load_settings()
    bundle, found = load_bundle(settings), {}
    with tempfile.TemporaryDirectory() as folder:
        table(settings, rows, Path(folder, "in.csv"))
        source = open_source(f"file:{folder}/in.csv", settings)
        store = Path(folder, "predictions.sqlite")
        for name, keep in (("file alone", None), ("file and store", ScoredRows(PredictionStore(store), bundle))):
            started, cpu = time.monotonic(), time.process_time()
            report = score_source(bundle, source, Path(folder, f"{name}.csv"), keep=keep, shown=False)
            found[name] = {"rows": report.rows, "seconds": round(time.monotonic() - started, 1),
                           "cpu_s": round(time.process_time() - cpu, 1), "without_score": report.errors,
                           "file_mb": round(report.out.stat().st_size / 1e6, 1)}
        found["store_mb"] = round(sum(path.stat().st_size for path in store.parent.glob(f"{store.name}*")) / 1e6, 1)
        found["kept"], found["model"], found["cores"] = keep.kept, bundle.info["model_type"], os.cpu_count()
    print(json.dumps(found, indent=2))
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
