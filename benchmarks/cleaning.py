"""Times the cleaning of a large text file by the kit, by duckdb and by polars: CPU s, s and MB of whole processes; writes cleaning.json.

    .venv/bin/python benchmarks/cleaning.py --rows 500000                        the kit alone
    .venv/bin/python benchmarks/cleaning.py --rows 5000000 --python PATH         and the peers, with a Python that has them

Everybody reads the same CSV of N rows x 20 columns (id, numbers, numbers with marks for missing, labels in several spellings, dates, a
flag, the target, some repeated rows) and does the same: the sha256 of the file, which columns are numbers, the labels of the text columns
and their commonest spelling, text stripped, marks to null, numbers, dates and flags read, exact repetitions removed, row ids, limits and
labels of the clean columns, Parquet with zstd. The kit finds out by itself what the columns are, and keeps what it does as parts that a
killed run goes on from. A peer does it twice: `found` finds the columns of numbers and the spellings itself, with one more look at the
file; `told` is given the types, dates and spellings, reads once and takes no hash.
"""
import argparse
import importlib
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MARKS = ["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "-", "--"]
CATEGORIES = {
    "city": ["Berlin", "Hamburg", "Munich", "Cologne", "Frankfurt am Main", "Stuttgart", "Dresden", "Leipzig", "Bremen", "Essen"],
    "home": ["rent", "owner", "parents", "other"],
    "job": [f"occupation {number}" for number in range(40)],
    "branch": [f"BR-{number:03d}" for number in range(300)],
    "marital": ["single", "married", "divorced", "widowed"],
}
FLOATS, GAPPED, COUNTS = ["income", "rate", "score", "weight"], ["balance", "ratio", "duration_x"], ["age", "visits", "items"]
COLUMNS = ["id", *FLOATS, *GAPPED, *COUNTS, *CATEGORIES, "opened", "closed", "active", "outcome"]


# --- the file
def variants(label: str) -> list[str]:
    "The spellings of a label as people type it"
    return [label] * 6 + [label.upper(), label.lower(), f" {label}", f"{label} "]


def block(number: int, rows: int) -> "pyarrow.Table":
    "Rows of the file, always the same for the same number"
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    chance = np.random.default_rng([7, number])

    def chosen(words: list[str]) -> pa.Array:
        return pa.array(words).take(pa.array(chance.integers(0, len(words), rows)))

    def gapped(values: pa.Array, share: float) -> pa.Array:
        return pc.if_else(pa.array(chance.random(rows) < share), chosen(["NA", "?", "", "n/a"]), values)
    first = number * rows
    table = {"id": pa.array(np.arange(first, first + rows) + 1_000_000)}
    for at, name in enumerate(FLOATS):
        table[name] = pa.array(chance.normal(1_000 * 10**-at, 300 * 10**-at, rows).round(3))
    for name in GAPPED:
        table[name] = gapped(pa.array(chance.gamma(2, 50, rows).round(2)).cast(pa.string()), 0.04)
    for name, most in zip(COUNTS, (90, 30, 1_000), strict=True):
        table[name] = pa.array(chance.integers(18 if name == "age" else 0, most, rows))
    for name, labels in CATEGORIES.items():
        table[name] = gapped(chosen([form for label in labels for form in variants(label)]), 0.03)
    days = pa.array(np.datetime64("2015-01-01") + chance.integers(0, 3_000, rows))
    table["opened"] = pc.strftime(days, "%Y-%m-%d")
    table["closed"] = gapped(pc.strftime(pa.array(np.datetime64("2016-01-01") + chance.integers(0, 3_000, rows)), "%d.%m.%Y"), 0.2)
    table["active"] = gapped(chosen(["True", "False", "true", "false"]), 0.01)
    table["outcome"] = chosen(["good", "good", "good", "bad", "Good", "good "])
    again = np.arange(rows)
    again[-(rows // 1_000):] = np.arange(rows // 1_000)
    return pa.table(table).take(pa.array(again))


def write_csv(path: Path, rows: int, made: "Callable[[int, int], pyarrow.Table]" = block) -> None:
    "The file of `rows` rows; made: the rows of a block, by its number"
    import pyarrow.csv
    size = min(rows, 100_000)
    first = made(0, size)
    with pyarrow.csv.CSVWriter(path, first.schema, write_options=pyarrow.csv.WriteOptions(quoting_style="none")) as file:
        file.write_table(first)
        for number in range(1, rows // size):
            file.write_table(made(number, size))


# --- the kit
BRIEF = '[data]\nsource = "file:{csv}"\ntarget = "outcome"\npositive = "bad"\n[budget]\non_oversize = "partition"\nmemory_gb = 4\n'


def planned(folder: Path) -> tuple["Source", "Plan", "Settings"]:
    "Source, plan and settings, the plan written by the first who asks"
    from epochkit.core.brief import parse_brief
    from epochkit.core.files import read_json, write_json
    from epochkit.core.settings import load_settings
    from epochkit.planning.plan import Plan, make_plan
    from epochkit.sources.catalog import open_source
    settings, path = load_settings(home=folder / "home", env={}), folder / "plan.json"
    source = open_source(f"file:{folder / 'table.csv'}", settings, target="outcome")
    if not path.is_file():
        write_json(path, make_plan(parse_brief(BRIEF.format(csv=folder / "table.csv")), source, settings).model_dump(mode="json"))
    return source, Plan.read(read_json(path)), settings


def kit(folder: Path) -> dict:
    "What epoch 002 computes: the scan of the source, the cleaning in parts, one table, its contract"
    import pandas as pd
    from epochkit.wrangling.contract import contract_toml, infer_contract
    from epochkit.wrangling.loading import discard_parts, load_data
    source, plan, settings = planned(folder)
    shutil.rmtree(settings.home, ignore_errors=True)
    result = load_data(source, plan, settings, settings.data(2))
    names = pd.read_parquet(next(iter(sorted(result.path.glob("*.parquet"))), result.path)).columns
    rules = {}
    for name in names:
        rules |= infer_contract(pd.read_parquet(result.path, columns=[name]), plan, result.kinds).columns
    contract_toml(infer_contract(pd.DataFrame(), plan, result.kinds).model_copy(update={"columns": rules}))
    discard_parts(settings.data(2))
    return {"rows_out": result.rows_out, "mb_out": round(result.size_mb)}


# --- the peers
def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def spellings(counts: dict[str, int]) -> dict[str, str]:
    "Label -> the commonest of its spellings"
    best: dict[str, tuple[int, str]] = {}
    for label, cells in counts.items():
        best[label.lower()] = max(best.get(label.lower(), (0, "")), (cells, label))
    return {label: best[label.lower()][1] for label in counts}


def told() -> tuple[list[str], dict[str, dict[str, str]]]:
    "The columns of numbers, and per text column the spellings, as one who knows the file would say them"
    words = {**CATEGORIES, "outcome": ["good", "bad"]}
    return ["id", *FLOATS, *GAPPED, *COUNTS], {
        name: {form.strip(): label for label in labels for form in (*variants(label), label.capitalize())} for name, labels in words.items()}


def polars(folder: Path, how: str) -> dict:
    "The same with polars, lazily and streamed"
    pl = importlib.import_module("polars")  # of the peers' own environment
    table = folder / "table.csv"
    texts = {name: pl.String for name in COLUMNS}

    def plain(name: str) -> "pl.Expr":
        text = pl.col(name).str.strip_chars()
        return pl.when(text.str.to_lowercase().is_in(MARKS)).then(None).otherwise(text)
    raw = pl.scan_csv(table, schema=texts)
    if how == "found":
        file_hash(table)
        seen = raw.select(plain(name).alias(name) for name in COLUMNS)
        fits = seen.select((pl.col(name).str.contains(r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$").all()).alias(name)
                           for name in COLUMNS).collect(engine="streaming").row(0, named=True)
        numbers = [name for name in COLUMNS if fits[name]]
        labelled = [name for name in COLUMNS if not fits[name] and name not in ("opened", "closed", "active")]
        lists = [seen.group_by(name).len() for name in labelled]
        same = {name: spellings(dict(found.drop_nulls().iter_rows()))
                for name, found in zip(labelled, pl.collect_all(lists, engine="streaming"), strict=True)}
    else:
        numbers, same = told()
    whole = {"id", *COUNTS}
    marks = pl.scan_csv(table, schema=texts | {name: pl.Int64 if name in whole else pl.Float64 for name in numbers if name not in GAPPED}
                        if how == "told" else texts)

    def clean(name: str) -> "pl.Expr":
        if name in numbers:
            if how == "told" and name not in GAPPED:
                return pl.col(name)
            return plain(name).cast(pl.Int64 if name in whole else pl.Float64).alias(name)
        if name in ("opened", "closed"):
            return plain(name).str.to_datetime("%Y-%m-%d" if name == "opened" else "%d.%m.%Y", time_unit="us").alias(name)
        if name == "active":
            return plain(name).str.to_lowercase().replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean).alias(name)
        return plain(name).replace(same[name]).alias(name)
    query = marks.with_row_index("row_id").select("row_id", *(clean(name) for name in COLUMNS))
    query = query.with_columns(_row_hash=pl.struct(COLUMNS).hash())
    parts = folder / "polars.parts.parquet"
    query.sink_parquet(parts, compression="zstd", compression_level=1)
    again = pl.read_parquet(parts, columns=["_row_hash"]).to_series().is_first_distinct()
    rows = pl.scan_parquet(parts).filter(pl.lit(again)).drop("_row_hash") if not again.all() else pl.scan_parquet(parts).drop("_row_hash")
    out = folder / "polars.parquet"
    rows.sink_parquet(out, compression="zstd", compression_level=1)
    done = pl.scan_parquet(out)
    limits = [pl.col(name).min().alias(f"{name} low") for name in numbers] + [pl.col(name).max().alias(f"{name} high") for name in numbers]
    done.select(*limits, *(pl.col(name).null_count().alias(f"{name} gaps") for name in COLUMNS), pl.len().alias("rows")).collect(engine="streaming")
    pl.collect_all([done.select(pl.col(name).unique()) for name in same], engine="streaming")
    parts.unlink()
    return {"rows_out": int(again.sum()), "mb_out": round(out.stat().st_size / 2**20)}


def duckdb(folder: Path, how: str) -> dict:
    "The same with duckdb"
    db = importlib.import_module("duckdb")
    table, out = folder / "table.csv", folder / "duckdb.parquet"
    work = folder / f"work.{how}.duckdb"
    work.unlink(missing_ok=True)
    base = db.connect(str(work))
    base.execute(f"SET memory_limit='900MB'; SET threads={os.cpu_count()}; SET preserve_insertion_order=true")
    marks = ", ".join(f"'{mark}'" for mark in MARKS)

    def plain(name: str) -> str:
        return f"CASE WHEN lower(trim({name})) IN ({marks}) THEN NULL ELSE trim({name}) END"
    source = f"read_csv('{table}', header=true, auto_detect=false, delim=',', quote='\"', columns={{{', '.join(f'{name!r}: {chr(39)}VARCHAR{chr(39)}' for name in COLUMNS)}}})"
    if how == "found":
        file_hash(table)
        fits = base.execute("SELECT " + ", ".join(f"bool_and(TRY_CAST({plain(name)} AS DOUBLE) IS NOT NULL OR {plain(name)} IS NULL)" for name in COLUMNS)
                            + f" FROM {source}").fetchone()
        numbers = [name for name, fit in zip(COLUMNS, fits, strict=True) if fit]
        labelled = [name for name in COLUMNS if name not in (*numbers, "opened", "closed", "active")]
        found = base.execute("SELECT " + ", ".join(f"histogram({plain(name)})" for name in labelled) + f" FROM {source}").fetchone()
        same = {name: spellings(counts) for name, counts in zip(labelled, found, strict=True)}
    else:
        numbers, same = told()
    for name, words in same.items():
        pairs = ", ".join(f"('{word}', '{label}')" for word, label in words.items())
        base.execute(f"CREATE TEMP TABLE s_{name} AS SELECT * FROM (VALUES {pairs}) t(word, label)")

    def clean(name: str) -> str:
        if name in numbers:
            return f"CAST({plain(name)} AS {'BIGINT' if name in ('id', *COUNTS) else 'DOUBLE'})"
        if name in ("opened", "closed"):
            return f"strptime({plain(name)}, '{'%Y-%m-%d' if name == 'opened' else '%d.%m.%Y'}')"
        return f"CAST({plain(name)} AS BOOLEAN)" if name == "active" else f"s_{name}.label"
    joins = " ".join(f"LEFT JOIN s_{name} ON s_{name}.word = {plain('t.' + name)}" for name in same)
    cells = ", ".join(f"{clean('t.' + name) if name not in (*numbers, *same, 'opened', 'closed', 'active') else clean(name)} AS {name}" for name in COLUMNS)
    base.execute(f"CREATE TABLE clean AS SELECT row_number() OVER () - 1 AS row_id, {cells} FROM {source} t {joins}")
    base.execute("CREATE TABLE kept AS SELECT min(row_id) AS row_id FROM clean GROUP BY hash(" + ", ".join(COLUMNS) + ")")
    base.execute(f"COPY (SELECT clean.* FROM clean SEMI JOIN kept USING (row_id)) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
    base.execute("SELECT " + ", ".join(f"min({name}), max({name}), count({name})" for name in COLUMNS) + f" FROM '{out}'").fetchone()
    for name in same:
        base.execute(f"SELECT DISTINCT {name} FROM '{out}'").fetchall()
    rows = base.execute("SELECT count(*) FROM kept").fetchone()[0]
    base.close()
    work.unlink()
    return {"rows_out": rows, "mb_out": round(out.stat().st_size / 2**20)}


# --- measuring
def peak_of(process: subprocess.Popen, found: dict[str, float]) -> None:
    "Keeps the largest sum of memory of a process and its children, five times a second"
    import psutil
    while process.poll() is None:
        try:
            top = psutil.Process(process.pid)
            used = sum(one.memory_info().rss for one in [top, *top.children(recursive=True)])
            found["peak_mb"] = max(found["peak_mb"], used / 2**20)
        except psutil.Error:
            pass
        time.sleep(0.2)


def measured(python: str, who: str, folder: Path, how: str = "") -> dict:
    "One whole process: what it says, and its CPU s, s and peak MB with its children"
    before, wall, found = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), {"peak_mb": 0.0}
    command = [python, __file__, "--step", who, "--how", how, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TQDM_DISABLE": "1"})
    watch = threading.Thread(target=peak_of, args=(process, found))
    watch.start()
    out, errors = process.communicate()
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        return {"failed": errors.strip()[-600:]}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 2), "wall_s": round(time.perf_counter() - wall, 2), "peak_mb": round(found["peak_mb"]),
            **json.loads(out.strip().splitlines()[-1])}


def has(python: str, package: str) -> bool:
    return subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the cleaning of a large text file.")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers (duckdb, polars)")
    parser.add_argument("--who", default="kit,polars,duckdb", help="whom to time, divided by commas")
    parser.add_argument("--folder", help="where the table lies, or is written and kept")
    parser.add_argument("--step", help="do one's part in this process")
    parser.add_argument("--how", default="")
    options = parser.parse_args()
    if options.step:
        steps = {"kit": lambda: kit(Path(options.folder)), "polars": lambda: polars(Path(options.folder), options.how),
                 "duckdb": lambda: duckdb(Path(options.folder), options.how), "plan": lambda: bool(planned(Path(options.folder)))}
        print(json.dumps(steps[options.step]()))
        return 0
    path, key = Path(__file__).with_suffix(".json"), f"{options.rows:,} rows"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    runs = dict(kept.get(key, {}).get("runs", {}))  # those who are not timed now keep their figures
    results: dict[str, object] = {"rows": options.rows, "columns": len(COLUMNS), "cores": os.cpu_count(), "runs": runs}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "table.csv").is_file():
            write_csv(folder / "table.csv", options.rows)
        results["csv_mb"] = round((folder / "table.csv").stat().st_size / 2**20)
        if not (folder / "plan.json").is_file():
            subprocess.run([sys.executable, __file__, "--step", "plan", "--folder", str(folder)], check=True, capture_output=True)
        for who in options.who.split(","):
            ways = [""] if who == "kit" else ["found", "told"]
            for how in ways:
                python = sys.executable if who == "kit" else options.python
                name = f"{who} {how}".strip()
                results["runs"][name] = measured(python, who, folder, how) if who == "kit" or has(python, who) else {
                    "skipped": f"{who} is not installed for {python}: give --python"}
                print(name, json.dumps(results["runs"][name]), flush=True)
    times = {name: run["cpu_s"] for name, run in results["runs"].items() if "cpu_s" in run}
    for way in ("found", "told"):
        peers = [seconds for name, seconds in times.items() if name.endswith(way)]
        if "kit" in times and peers:
            results[f"ratio_to_{way}"] = round(times["kit"] / min(peers), 2)
    print(json.dumps({name: value for name, value in results.items() if name.startswith("ratio")}))
    path.write_text(json.dumps({**kept, key: results}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
