"""What the benchmarks measured beside what they should have: writes README.md from the JSON files in this folder.

    .venv/bin/python benchmarks/table.py            writes it; --check: only says whether it is what the files say

Nothing is measured here. A goal is a number that was set before; a figure without one is told as it is.
"""
import argparse
import ast
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent


class Figure(NamedTuple):
    "What was measured, the goal in words, and whether it is held; None for a figure without a goal"
    what: str
    measured: str
    goal: str = ""
    held: bool | None = None


READERS: dict[str, Callable[[Any], Iterator[Figure]]] = {}


def reads(name: str) -> Callable:
    "Enters the function that makes figures of the file `name`.json"
    def enter(function: Callable) -> Callable:
        READERS[name] = function
        return function
    return enter


def at_most(what: str, value: float, limit: float, unit: str = "", form: str = ",.4g") -> Figure:
    "A figure that should not be above its limit"
    return Figure(what, f"{value:{form}}{unit}", f"at most {limit:g}{unit}", value <= limit)


@reads("quality")
def quality(found: dict) -> Iterator[Figure]:
    for item in found["results"]:
        name, ahead, regression = item["set"], item["ahead"], "rmse" in item
        score = f"RMSE {item['rmse']:,.4g}" if regression else f"AUC {item['roc_auc']:.4f}"
        margin, unit = (0.01, "of RMSE") if regression else (0.002, "AUC")
        by = (lambda value: f"{value:+.1%} {unit}") if regression else (lambda value: f"{value:+.4f} {unit}")
        yield Figure(f"{name}: {score}, {item['test_rows']:,} test rows, to the better plain default", by(ahead["plain"]),
                     f"not behind by more than {margin:.0%}" if regression else f"not behind by more than {margin:g}",
                     ahead["plain"] >= -margin)
        if ahead["peers"] is not None:
            yield Figure(f"{name}: to the better of FLAML and AutoGluon", by(ahead["peers"]), "at or ahead", ahead["peers"] >= 0)
        if "plain_log_loss" in ahead:
            yield Figure(f"{name}: log loss {item['log_loss']:.4f}, to the better plain default", f"{ahead['plain_log_loss']:+.4f}",
                         "not behind", ahead["plain_log_loss"] >= 0)
    yield at_most("peak of 005 over all sets", max(item["epoch_005"]["peak_mb"] for item in found["results"]), 1_500, " MB", ",.0f")


@reads("phase_1")
def phase_1(found: dict) -> Iterator[Figure]:
    for name, item in found.items():
        yield at_most(f"{name}, {item['rows']:,} x {item['features']}: phase 1 with all frameworks", item["seconds"], 60, " s")
        yield at_most(f"{name}: part that is neither fit nor answer", 100 * item["other_share"], 25, " %")


@reads("cleaning")
def cleaning(found: dict) -> Iterator[Figure]:
    for name, item in found.items():
        kit, peers = item["runs"]["kit"], [run for peer, run in item["runs"].items() if peer.endswith("found")]
        yield at_most(f"{name}: CPU of epoch 002's cleaning to the better of polars and duckdb, which find out the same",
                      item["ratio_to_found"], 1.3, " times")
        yield at_most(f"{name}: the same by the clock", kit["wall_s"] / min(run["wall_s"] for run in peers), 1.3, " times")
        yield Figure(f"{name}: peak of the kit, and of those", " / ".join(f"{run['peak_mb']:,}" for run in (kit, *peers)) + " MB")


@reads("serving")
def serving(found: dict) -> Iterator[Figure]:
    kit, mlflow = found["servers"]["kit"], found["servers"]["mlflow"]
    yield at_most("CPU of one row over HTTP", kit["one_cpu_ms"], 4, " ms")
    yield Figure("CPU of one row to `mlflow models serve`", f"{mlflow['one_cpu_ms'] / kit['one_cpu_ms']:.2f} times less",
                 "3 times", mlflow["one_cpu_ms"] >= 3 * kit["one_cpu_ms"])
    yield Figure("p99 of one row to the same", f"{kit['one_p99_ms'] / mlflow['one_p99_ms']:.2f} of it", "half",
                 kit["one_p99_ms"] <= 0.5 * mlflow["one_p99_ms"])
    yield Figure("CPU of 1,000 rows to the same", f"{mlflow['many_cpu_ms'] / kit['many_cpu_ms']:.2f} times less", "1.5 times",
                 mlflow["many_cpu_ms"] >= 1.5 * kit["many_cpu_ms"])
    table = found["bulk"]
    for name, rows_per_s in (("by the clock", table["by_the_clock_per_s"]), ("that two free cores have the time for", table["two_cores_per_s"])):
        yield Figure(f"{table['rows']:,} rows as Parquet, stored: rows/s {name} (load {table['load']:g})", f"{rows_per_s:,}", "50,000", rows_per_s >= 50_000)
    yield Figure("CPU of such a row; of the model alone; of all else", f"{table['served_us']:g} / {table['model_us']:g} / {table['overhead_us']:g} µs")
    yield Figure("the same for two free cores, with one booster as the model", f"{table['two_cores_one_booster_per_s']:,} rows/s")
    yield at_most(f"start of the service by the clock (load {min(found['load']):g} to {max(found['load']):g})", kit["start_s"], 3, " s")
    yield at_most("CPU of the start", kit["start_cpu_s"], 3, " s")
    yield at_most("memory of the service", kit["memory_mb"], 250, " MB")
    yield at_most("the same after such tables", table["memory_mb"], 250, " MB")


@reads("monitoring")
def monitoring(found: dict) -> Iterator[Figure]:
    for name, item in found["scenarios"].items():
        if name.startswith("quiet"):
            yield at_most(f"{name}: looks of {item['looks']} that rang", 100 * item["share"],
                          100 * found["allowed_share_of_quiet_looks"], " %")
        else:
            yield Figure(f"{name}: found at the first look ({item['looks']} times {found['rows_per_look']} rows)",
                         f"{item['share']:.0%}")


@reads("leaks")
def leaks(found: dict) -> Iterator[Figure]:
    report = found["honest"]["report"]
    yield at_most(f"honest columns called critical on {len(report)} tables that nothing was tuned on",
                  sum(len(item["critical"]) for item in report), 0)
    for item in found["planted"]["report"]:
        yield Figure(f"planted: {item['kind'].replace('_', ' ')}, on {item['tables']} tables", f"{item['found at all']:.0%} suspected")


@reads("journey")
def journey(found: list) -> Iterator[Figure]:
    done = [item for item in found if not item["stopped"]]
    yield Figure("tables from a brief to a served prediction of raw rows", f"{len(done)} of {len(found)}", "all", len(done) == len(found))
    yield at_most("largest difference between API, `epoch score` and notebook", max(item["served"]["difference"] for item in done), 0)
    waived = [item["set"] for item in found if any(item["gates"].values())]
    yield Figure("of them with a check that a person waived", f"{len(waived)}{': ' * bool(waived)}{', '.join(waived)}")


@reads("twenty")
def twenty(found: list) -> Iterator[Figure]:
    usual, small = ([item for item in found if item["too_small"] == one] for one in (False, True))
    done = [item for item in usual if item["status"] == "finished"]
    yield Figure("more tables from a brief alone to the retrospective", f"{len(done)} of {len(usual)}", "all", len(done) == len(usual))
    waived = [f"{item['table']} ({', '.join(check for checks in item['waived'].values() for check in checks)})" for item in done if item["waived"]]
    yield Figure("of them with a check that was waived", f"{len(waived)}{': ' * bool(waived)}{', '.join(waived)}")
    stopped = sum(item["status"] == "stopped" for item in small)
    yield Figure("tables that are too small, stopped with one message", f"{stopped} of {len(small)}", "all", stopped == len(small))
    yield at_most(f"contradictions among {sum(item['claims'] for item in found):,} claims", sum(len(item["contradictions"]) for item in found), 0)
    yield at_most(f"numbers that differ, of {sum(item['compared'] for item in found):,} that stand in several places", sum(len(item["twice"]) for item in found), 0)
    yield Figure("peak over all of them", f"{max(item['peak_mb'] for item in found):,} MB")


@reads("first_hour")
def first_hour(found: dict) -> Iterator[Figure]:
    for name, item in found.items():
        if isinstance(item, dict):
            minutes = item["minutes"].get("served prediction")
            yield Figure(f"{name}: clean clone to a served prediction", "stopped" if minutes is None else f"{minutes:.1f} min",
                         "at most 60 min", minutes is not None and minutes <= 60)


@reads("results")
def results(found: dict) -> Iterator[Figure]:
    yield at_most("the demo's eight epochs", found["demo, all eight epochs"]["median_s"], 60, " s")
    for name in ("second run, nothing changed", "epoch status, full", "epoch verify", "import epochkit"):
        yield Figure(name, f"{found[name]['median_s']:.3g} s")


@reads("parts")
def parts(found: dict) -> Iterator[Figure]:
    spent: dict[str, float] = {}
    for epoch in found["epochs"].values():
        for kind, parts in epoch["parts"].items():
            for name, seconds in parts.items():
                where = f"{name}, in processes that fit and score" if kind == "workers" and name in ("compute", "imports") else name
                spent[where] = spent.get(where, 0.0) + seconds
    whole = sum(spent.values())
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        yield Figure(f"the demo's eight epochs, CPU of {name}", f"{seconds:.1f} of {whole:.0f} s, {seconds / whole:.0%}")


@reads("record")
def record(found: dict) -> Iterator[Figure]:
    size = f"{found['events']:,} events and {found['files_of_1_MB']} files of 1 MB"
    yield Figure(f"`epoch verify` with {size}", f"{found['epoch verify, whole process']['median_ms'] / 1000:.1f} s")
    yield Figure("one more event then", f"{found['append']['median_ms']:.2g} ms")


@reads("scored_rows")
def scored_rows(found: dict) -> Iterator[Figure]:
    for name in ("file alone", "file and store"):
        yield Figure(f"`epoch score`, {name}", f"{found[name]['rows'] / found[name]['seconds']:,.0f} rows/s")


@reads("synthetic")
def synthetic(found: dict) -> Iterator[Figure]:
    for item in found["streams"]:
        yield Figure(f"`{item['spec']}`", f"{item['rows_per_cpu_s']:,.0f} rows per CPU s, {item['peak_mb']} MB")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def readme() -> str:
    "The text of README.md"
    parts, behind = [], []
    for name, reader in READERS.items():
        figures = list(reader(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))))
        behind += [f"- {item.what}: {item.measured} ({item.goal})" for item in figures if item.held is False]
        purpose = ast.get_docstring(ast.parse((FOLDER / f"{'run' if name == 'results' else name}.py").read_text(encoding="utf-8")))
        rows = [f"| {cell(item.what)} | {cell(item.measured)} | {cell(item.goal)} | "
                f"{'' if item.held is None else 'held' if item.held else '**missed**'} |" for item in figures]
        parts.append("\n".join([f"## {name}", purpose.split("\n")[0], "", "| figure | measured | goal | |", "|---|---|---|---|", *rows]))
    return "\n".join([
        "# What was measured", "",
        "Written by `benchmarks/table.py` from the JSON files beside it, which the scripts of the same names write on the machine at hand: two cores, "
        "often with other work beside. Ratios are taken in one run and carry over to another machine; seconds do not. `make bench` runs the quick ones "
        "and writes this anew.", "", "## Where we are behind", *(behind or ["- nowhere, of the goals that were set"]), "", *"\n\n".join(parts).split("\n"), ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="Write README.md from the results in this folder.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when README.md is not what the results say")
    given, text, path = parser.parse_args(), readme(), FOLDER / "README.md"
    if given.check:
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if not same:
            print("benchmarks/README.md is not what the results say: run python benchmarks/table.py", file=sys.stderr)
        return 0 if same else 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
