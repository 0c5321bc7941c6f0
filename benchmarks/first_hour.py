"""Minutes from a clean clone to a served prediction, for four tables: what the README says of the first hour.

    .venv/bin/python benchmarks/first_hour.py [TABLE …]     about 40 minutes on two quiet cores; writes first_hour.json beside it

Each table gets a project with `epoch new`, an environment of its own with `make env`, and epochs 001 to 007 one after the other with the project's own commands. Nobody sits here, so the
gates are passed unattended and `unattended_production` is set in the project's settings.ini: a person's reading and deciding comes on top. Counted from the moment `epoch new` is typed.
"""
import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epochkit.core.settings import load_settings

ROOT = load_settings(env={}).code_root
DATA = ROOT.parent / "shared" / "data"
GOALS = {"project": 1, "first figure": 3, "first gate": 5, "served prediction": 15}


class Table(NamedTuple):
    "Where a table comes from: the file it needs, the source as it is typed, and the target"
    needs: Path | None
    source: str
    target: str


def tables(folder: Path) -> dict[str, Table]:
    "Two files, a database and a synthetic table; the database is made from the second file"
    base = folder / "rentals.db"
    return {"telco_churn": Table(DATA / "telco_churn.csv", str(DATA / "telco_churn.csv"), "Churn"),
            "ames_housing": Table(DATA / "ames_housing.csv", str(DATA / "ames_housing.csv"), "SalePrice"),
            "bike_database": Table(DATA / "bike_sharing_hour.csv", f"sql:sqlite:///{base}?table=rentals", "cnt"),
            "synthetic_fraud": Table(None, "synthetic:fraud?rows=10000", "is_fraud")}


def fill_database(file: Path, path: Path) -> None:
    with sqlite3.connect(path) as base:
        pd.read_csv(file).to_sql("rentals", base, index=False)


def run(command: list[str], cwd: Path, **environment: str) -> str:
    "stdout of a command in a clean environment; the last lines of its output where it fails"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EPOCH_", "PYTHON", "VIRTUAL_ENV", "MLFLOW"))}
    done = subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"{' '.join(command[1:])} ended with {done.returncode}: {(done.stdout + done.stderr).strip()[-400:]}")
    return done.stdout


class Stopped(Exception):
    "A command ended otherwise than with 0, for example because a gate does not pass"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def served_prediction(project: Path) -> str:
    "What the project's own smoke test says of its API: health, and the known row with its known score"
    port, test = free_port(), next((project / "artifacts").glob("epoch007-*/deployment/smoke_test.py"))
    with subprocess.Popen([project / ".venv/bin/epoch", "serve", "--port", str(port)], cwd=project, stderr=subprocess.DEVNULL) as service:
        try:
            while service.poll() is None:
                try:  # a port that is only tried for being free answers a connection, and no request
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            return run([sys.executable, str(test), f"http://127.0.0.1:{port}"], project).strip()
        finally:
            service.terminate()


def measured(epoch: str, name: str, table: Table, place: Path) -> dict[str, Any]:
    "Minutes since `epoch new` was typed, by milestone"
    project, begun, minutes = place / name, time.time(), {}
    lap = lambda what, when=None: minutes.update({what: round(((when or time.time()) - begun) / 60, 2)})
    run([epoch, "new", str(project), "--name", name, "--data", table.source, "--target", table.target, "--yes"], place)
    lap("project")
    files = len(run(["git", "ls-files"], project).splitlines())
    run(["make", "env"], project)
    lap("environment")
    settings = project / "settings.ini"
    settings.write_text(settings.read_text().replace("unattended_production = false", "unattended_production = true"))
    own = str(project / ".venv/bin/epoch")
    stops = {1: "first gate", 4: "features", 7: "in Production"}
    for number in range(1, 8):
        try:
            run([own, "run", str(number), "--unattended", "benchmark: nobody is asked"], project)
        except Stopped as stopped:
            return {"minutes": minutes, "files": files, "stopped": str(stopped)}
        if number == 1:
            figures = sorted((project / "artifacts" / "epoch001-research-analysis-planning").rglob("*.png"), key=lambda path: path.stat().st_mtime)
            lap("first figure", figures[0].stat().st_mtime)
        if number in stops:
            lap(stops[number])
    answer = served_prediction(project)
    lap("served prediction")
    return {"minutes": minutes, "files": files, "answer": answer}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="*", help="some of the four tables (default: all)")
    chosen = parser.parse_args().table
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        known = tables(place)
        clone = place / "kit"
        run(["git", "clone", "-q", str(ROOT), str(clone)], place)
        begun = time.time()
        run(["make", "env"], clone)
        results: dict[str, Any] = {"environment of the kit": round((time.time() - begun) / 60, 2)}
        for name in chosen or known:
            table = known[name]
            if table.needs and not table.needs.exists():
                results[name] = {"skipped": f"{table.needs.name} is not here"}
                continue
            if name == "bike_database":
                fill_database(table.needs, place / "rentals.db")
            results[name] = measured(str(clone / ".venv/bin/epoch"), name, table, place)
            print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    kept = ROOT / "benchmarks" / "first_hour.json"
    results = (json.loads(kept.read_text(encoding="utf-8")) if chosen and kept.exists() else {}) | results
    kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    rows = {name: found["minutes"] for name, found in results.items() if isinstance(found, dict) and "minutes" in found}
    print(pd.DataFrame(rows | {"goal": GOALS}).reindex(next(iter(rows.values()))).to_string(na_rep=""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
