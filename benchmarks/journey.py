"""Takes real tables from a brief to a served prediction of the raw rows of their file, and prints what happened on the way.

    .venv/bin/python benchmarks/journey.py [SET …]     about 40 minutes on two quiet cores; writes its sets into journey.json and journey.md beside it

The sets lie in ../shared/data, `demo:breast_cancer` comes from a package. Every gate is decided at a terminal (a pseudo-terminal that answers the questions as a person would): a gate whose
checks pass is approved, a failing check is waived with a reason, and both are counted. Nothing is edited but the brief. At the end the first raw rows of the file, as the text that stands
there, are scored by the running API, by `epoch score` and in this process, and the largest difference of the three is printed.
"""
import argparse
import csv
import json
import os
import pty
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epochkit.core.files import read_json
from epochkit.core.settings import Settings, load_settings
from epochkit.lifecycle.state import project_state

ROOT = load_settings(env={}).code_root
DATA = ROOT.parent / "shared" / "data"
EPOCH = str(Path(sys.executable).with_name("epoch"))
RAW_ROWS = 200
REASON = "seen and accepted for this trial: the limit is really missed"
ANSWERS = ((r"fails\. Why may it\?.*\) ", REASON), (r"is left out as a leak.*\) ", ""), (r"\[y/N\] ", "y"), (r"Comment: ", "decided in the journey"),
           (r"Reviewer \[.*\]: ", "journey"), (r"Type (\d{3}) to record it: ", None))


def brief_of(name: str) -> str:
    "What datasets.json says about a set, as the brief that a person would write"
    if name.startswith("demo:"):
        return f'[data]\nsource = "{name}"\ntarget = "diagnosis"\n[budget]\ntuning_trials = 4\n'
    note = next(item for item in json.loads((DATA / "datasets.json").read_text())["datasets"] if item["name"] == name)
    said = "".join(f'{key} = "{note[field]}"\n' for key, field in (("time", "time_column"), ("group", "group_column"), ("positive", "positive_class"))
                   if note.get(field))
    task = f'task = "{note["task"]}"\n' if note["task"] == "multiclass" else ""
    return f'[data]\nsource = "file:{DATA / note["file"]}"\ntarget = "{note["target"]}"\n{said}{task}[budget]\ntuning_trials = 4\n'


def run_epoch(number: int, home: Path, *more: str) -> dict[str, float]:
    "`epoch run N`: exit code, seconds, CPU seconds of the whole process tree, and the last line of stderr"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([EPOCH, "run", str(number), *more], env={**os.environ, "EPOCH_HOME": str(home)}, capture_output=True, text=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"code": done.returncode, "s": round(time.monotonic() - started, 1), "cpu_s": round(cpu, 1),
            "said": (done.stderr.strip().splitlines() or [""])[-1] if done.returncode not in (0, 3) else ""}


def decide(number: int, home: Path) -> tuple[int, list[str]]:
    "`epoch approve N` answered at a pseudo-terminal: exit code and the checks that were waived"
    ours, theirs = pty.openpty()
    child = subprocess.Popen([EPOCH, "approve", str(number)], env={**os.environ, "EPOCH_HOME": str(home)}, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    waived, unread, until = [], "", time.monotonic() + 600
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                unread += os.read(ours, 65_536).decode("utf-8", "replace")
            except OSError:  # the other side was closed
                break
        elif child.poll() is not None:
            break
        for pattern, answer in ANSWERS:
            if found := re.search(pattern + "$", unread):
                waived += re.findall(r"'([^']+)' fails\. Why", unread)[-1:] if answer == REASON else []
                os.write(ours, ((found[1] if answer is None else answer) + "\n").encode())
                unread = ""
    os.close(ours)
    return child.wait(30), waived


def raw_rows(settings: Settings, name: str) -> tuple[Path, list[dict[str, str]]]:
    "The first rows of the set's file as the text that stands in it (another format: as CSV), in a file of their own"
    path = settings.home / "raw_rows.csv"
    notes = json.loads((DATA / "datasets.json").read_text())["datasets"] if DATA.is_dir() else []
    note = next((item for item in notes if item["name"] == name), {"file": ""})
    if not note["file"].endswith((".csv", ".txt")):
        from epochkit.sources.catalog import open_source
        source = f"file:{DATA / note['file']}" if note["file"] else name
        open_source(source, settings).head(RAW_ROWS).to_csv(path, index=False)
        delimiter = ","
    else:
        delimiter = note["read_options"].get("sep", ",")
        with open(DATA / note["file"], encoding="utf-8", newline="") as file:
            path.write_text("".join(line for line, _ in zip(file, range(RAW_ROWS + 1))), encoding="utf-8", newline="")
    with open(path, encoding="utf-8", newline="") as file:
        return path, [dict(row) for row in csv.DictReader(file, delimiter=delimiter)]


def by_api(rows: list[dict[str, str]], settings: Settings) -> list[dict[str, Any]]:
    "The answers of the running service"
    from epochkit.serving.api import start_service
    with start_service(settings, stage="Production") as service:
        body = json.dumps({"rows": rows}).encode()
        request = urllib.request.Request(f"{service.url}/predict/batch", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["predictions"]


def difference(one: pd.DataFrame, other: pd.DataFrame, column: str) -> float:
    "The largest difference of two sets of scores; infinite where labels differ"
    if not (one["prediction"].astype(str).to_numpy() == other["prediction"].astype(str).to_numpy()).all() and column != "prediction":
        return float("inf")
    return float(np.abs(one[column].astype(float).to_numpy() - other[column].astype(float).to_numpy()).max())


def served(name: str, settings: Settings) -> dict[str, Any]:
    "Scores of the raw rows through three doors, and their largest difference"
    from epochkit.models.bundle import load_bundle
    path, rows = raw_rows(settings, name)
    bundle = load_bundle(settings, "Production")
    column = "prediction" if bundle.task == "regression" else "probability"
    here = bundle.score_raw(pd.DataFrame(rows, dtype="str")).reset_index(drop=True)
    out = settings.home / "scored.csv"
    done = subprocess.run([EPOCH, "score", str(path), str(out)], env={**os.environ, "EPOCH_HOME": str(settings.home)}, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        return {"difference": None, "why": f"epoch score: {done.stderr.strip()[-300:]}"}
    batch, api = pd.read_csv(out, keep_default_na=False), pd.DataFrame(by_api(rows, settings))
    return {"raw rows": len(rows), "difference": max(difference(here, batch, column), difference(here, api, column))}


def journey(name: str, home: Path) -> dict[str, Any]:
    "One set from its brief to Production and the retrospective: epoch by epoch, gate by gate"
    home.mkdir()
    (home / "brief.toml").write_text(brief_of(name), encoding="utf-8")
    found: dict[str, Any] = {"set": name, "epochs": {}, "gates": {}, "stopped": ""}
    settings = load_settings(home=home, env={})
    for number in range(1, 9):
        more = ("--brief", str(home / "brief.toml")) if number == 1 else ()
        found["epochs"][number] = ran = run_epoch(number, home, *more)
        if ran["code"] not in (0, 3) and not (ran["code"] == 1 and number in (1, 3, 4, 6, 7) and "gate" in ran["said"]):
            found["stopped"] = f"epoch {number:03d} ended with {ran['code']}: {ran['said']}"
            break
        if number in (1, 3, 4, 6, 7):
            code, waived = decide(number, home)
            found["gates"][number] = waived
            if code:
                found["stopped"] = f"gate {number:03d} could not be decided ({code}), waived: {', '.join(waived) or 'nothing'}"
                break
    return found | _facts(settings) | ({} if found["stopped"] else {"served": served(name, settings)})


def _facts(settings: Settings) -> dict[str, Any]:
    "Rows, roles and leaks as the artifacts say them, and the peak memory"
    facts: dict[str, Any] = {"peak_mb": round(max(state.peak_mb or 0 for state in project_state(settings)))}
    plan = settings.folder(1) / "project_plan.json"
    if plan.is_file():
        content = read_json(plan)
        facts |= {"rows": content["profile"]["rows"], "roles": dict(pd.Series([item["role"] for item in content["columns"].values()]).value_counts())}
        facts["roles"] = {role: int(count) for role, count in facts["roles"].items()}
    audit = settings.artifacts(3) / "leak_audit.json"
    if audit.is_file():
        facts["leaks"] = [item["column"] for item in read_json(audit)["suspects"] if item["severity"] == "critical"]
    return facts


def table(results: list[dict[str, Any]]) -> pd.DataFrame:
    "The journeys as one table"
    rows = []
    for one in results:
        gates = " ".join(f"{number}:{'passed' if not waived else 'waived ' + '+'.join(waived)}" for number, waived in one["gates"].items())
        rows.append({"set": one["set"], "rows": one.get("rows"), "roles": " ".join(f"{role}={count}" for role, count in one.get("roles", {}).items()),
                     "leaks": ", ".join(one.get("leaks", [])) or "-", "gates": gates,
                     "s per epoch": " ".join(f"{ran['s']:g}" for ran in one["epochs"].values()),
                     "CPU s per epoch": " ".join(f"{ran['cpu_s']:g}" for ran in one["epochs"].values()), "peak MB": one["peak_mb"],
                     "difference": one["served"]["difference"] if "served" in one else one["stopped"]})
    return pd.DataFrame(rows)


def page(results: list[dict[str, Any]]) -> str:
    "The table as Markdown"
    shown = table(results)
    lines = [list(shown.columns), ["---"] * shown.shape[1], *shown.astype(str).to_numpy().tolist()]
    return "\n".join(["# From a brief to a served prediction of the raw rows", "", "Written by `benchmarks/journey.py`. The seconds are those of the machine as it was, with other work "
                      "beside it; the last column is the largest difference between the scores of raw rows by API, `epoch score` and notebook.", "",
                      *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def main() -> int:
    names = [item["name"] for item in json.loads((DATA / "datasets.json").read_text())["datasets"]] if DATA.is_dir() else []
    parser = argparse.ArgumentParser(description="Take real tables from a brief to a served prediction.")
    parser.add_argument("sets", nargs="*", metavar="SET", default=[*names, "demo:breast_cancer"], help="names from ../shared/data, or demo:breast_cancer")
    parser.add_argument("--keep", type=Path, help="make the projects in this folder and leave them there")
    options, path = parser.parse_args(), ROOT / "benchmarks" / "journey.json"
    known = {one["set"]: one for one in json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            known[name] = journey(name, (options.keep or Path(folder)) / re.sub(r"\W", "_", name))
            path.write_text(json.dumps(list(known.values()), indent=1) + "\n", encoding="utf-8")
            path.with_suffix(".md").write_text(page(list(known.values())), encoding="utf-8")
            print(table([known[name]]).to_string(index=False), flush=True)
    print("\n" + table(list(known.values())).to_string(index=False))
    return 0 if all("served" in known[name] for name in options.sets) else 1


if __name__ == "__main__":
    raise SystemExit(main())
