"""The service beside `mlflow models serve` and a bare FastAPI: the same bundle, the same rows, taken in turns.

EPOCH_HOME=<a finished home> python benchmarks/serving.py [--rounds 3]

Processor time is what the whole process tree of a server used, so that a busy machine changes it less; latencies and requests a second are those of one
connection and are worth what the load of the machine allows, which the result tells. `goals` says beside each goal of the service what was reached, by the
clock and by processor time. `bulk` sends a table of 100,000 rows as Parquet, stored as ever, and says what a row costs: in all, in the model alone, and
in all with a model of one booster; rows/s of two cores are those that two free cores have time for. The result is written to benchmarks/serving.json.
"""
import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx2
import numpy as np
import pandas as pd
import psutil
from threadpoolctl import threadpool_limits

from epochkit.core.settings import load_settings
from epochkit.lifecycle.tracking import tracking_client, tracking_uri
from epochkit.models.bundle import load_bundle, read_rows
from epochkit.serving.api import serve_command
from epochkit.serving.deployment import as_sent
from epochkit.serving.rows.fast_scores import fast_bundle
from epochkit.serving.server import free_port, server_environment, start_server
from epochkit.serving.store.writer import STORE_VARIABLE
from epochkit.sources.catalog import open_source

PARQUET = "application/vnd.apache.parquet"
BARE = '''
import pandas as pd
from fastapi import FastAPI, Request
from epochkit.core.settings import load_settings
from epochkit.models.bundle import load_bundle
app, bundle = FastAPI(), load_bundle(load_settings(), "Production")

@app.get("/health")
def health():
    return {}

@app.post("/rows")
async def rows(request: Request):
    return bundle.score_raw(pd.DataFrame((await request.json())["rows"])).to_dict("records")
'''


def doors(settings, folder: Path) -> dict[str, tuple]:
    "Name -> (command, health, path of one row, its body, path of many, its body, the probabilities in an answer)"
    (folder / "bare.py").write_text(BARE)
    version = load_bundle(settings, "Production").version
    client = tracking_client(settings)
    source = client.get_model_version(settings.project, version).source
    rows = lambda sent: {"rows": sent}
    records = lambda sent: {"dataframe_records": sent}
    ports = [free_port() for _ in range(3)]
    python = sys.executable
    return {
        "kit": (serve_command(ports[0]), ports[0], "/health", "/predict", lambda sent: sent[0], "/predict/batch", rows,
                lambda answer: [item["probability"] for item in answer.get("predictions", [answer])]),
        "mlflow": ([python, "-m", "mlflow", "models", "serve", "-m", source, "-p", str(ports[1]), "--env-manager", "local"],
                   ports[1], "/ping", "/invocations", records, "/invocations", records,
                   lambda answer: [item["probability"] for item in answer["predictions"]]),
        "bare FastAPI": ([python, "-m", "uvicorn", "--app-dir", str(folder), "bare:app", "--port", str(ports[2]), "--log-level",
                          "error"], ports[2], "/health", "/rows", rows, "/rows", rows,
                         lambda answer: [item["probability"] for item in answer]),
    }


def used_s(pid: int) -> float:
    "Processor seconds of a process and those below it"
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def memory_mb(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)]) / 1e6


def asked(client, pid: int, path: str, body: dict, times: int) -> tuple[float, list[float], dict]:
    "Processor ms of one request, the latencies in ms, and the last answer"
    latencies, before = [], used_s(pid)
    for _ in range(times):
        started = time.perf_counter()
        answer = client.post(path, json=body)
        answer.raise_for_status()
        latencies.append(1_000 * (time.perf_counter() - started))
    time.sleep(0.3)  # what is written after the answer counts too
    return 1_000 * (used_s(pid) - before) / times, latencies, answer.json()


def table_of(settings, spec: str, rows: int) -> bytes:
    "So many rows of the source, their numbers a little moved, as Parquet"
    frame, random, buffer = next(open_source(spec, settings).chunks(10_000)), np.random.default_rng(7), io.BytesIO()
    frame = pd.concat([frame] * -(-rows // len(frame)), ignore_index=True).head(rows)
    numbers = frame.select_dtypes("number").columns
    frame[numbers] = (frame[numbers] * random.uniform(0.9, 1.1, (rows, 1))).round(1)
    frame.to_parquet(buffer)
    return buffer.getvalue()


def per_row_us(work, rows: int, times: int = 3) -> float:
    "Processor time of this process for a row, µs, the median of some tries"
    found = []
    for _ in range(times):
        before = time.process_time()
        work()
        found.append(1e6 * (time.process_time() - before) / rows)
    return median(found)


def bulk(settings, bundle, body: bytes, rows: int, client, pid: int, times: int = 3) -> dict:
    "What a row of a large table costs, µs of processor time: over HTTP with the store, and what of that is the model"
    send = lambda: client.post("/predict/batch", content=body, headers={"content-type": PARQUET}).raise_for_status()
    send()
    time.sleep(3)
    before, started = used_s(pid), time.perf_counter()
    for _ in range(times):
        assert send().content.count(b"\n") == rows
    seconds = time.perf_counter() - started
    time.sleep(3)  # what is written after the answer counts too
    served = 1e6 * (used_s(pid) - before) / rows / times
    with threadpool_limits(1, user_api="blas"):
        fast, some = fast_bundle(bundle), pd.read_parquet(io.BytesIO(body)).head(10_000)
        features = fast.features(read_rows(fast, some).frame)
        model = per_row_us(lambda: fast.answers(features), 10_000)
        members = {name: round(per_row_us(lambda: one.predict_proba(features), 10_000), 2) for name, one in
                   getattr(bundle.model, "members", {}).items()}
    booster = min((members[name] for name in ("lightgbm", "xgboost", "catboost") if name in members), default=model)
    costs = {"served_us": served, "model_us": model, "overhead_us": served - model, "one_booster_us": served - model + booster}
    return {"rows": rows, "by_the_clock_per_s": round(rows * times / seconds), **{name: round(cost, 1) for name, cost in costs.items()},
            "members_us": members, "two_cores_per_s": round(2e6 / served), "two_cores_one_booster_per_s": round(2e6 / costs["one_booster_us"]),
            "two_cores_model_alone_per_s": round(2e6 / model), "not_stored": client.get("/health").json()["not_stored"]}


def goals(servers: dict[str, dict], table: dict) -> list[dict]:
    "Each goal of the service with what was found, and whether it is reached"
    kit, mlflow = servers["kit"], servers["mlflow"]
    less, more = (lambda found, limit: found <= limit), (lambda found, limit: found >= limit)
    wanted = [("one row: at most 4 ms of processor time", kit["one_cpu_ms"], less, 4),
              ("one row: 3 times the requests/s of mlflow", kit["one_per_s"] / mlflow["one_per_s"], more, 3),
              ("one row: a third of mlflow's processor time", kit["one_cpu_ms"] / mlflow["one_cpu_ms"], less, 1 / 3),
              ("one row: half of mlflow's p99", kit["one_p99_ms"] / mlflow["one_p99_ms"], less, 0.5),
              ("1,000 rows: 1.5 times the requests/s of mlflow", kit["many_per_s"] / mlflow["many_per_s"], more, 1.5),
              ("1,000 rows: two thirds of mlflow's processor time", kit["many_cpu_ms"] / mlflow["many_cpu_ms"], less, 2 / 3),
              ("100,000 rows as Parquet: 50,000 rows/s by the clock", table["by_the_clock_per_s"], more, 50_000),
              ("100,000 rows as Parquet: processor time for 50,000 rows/s on two cores", table["two_cores_per_s"], more, 50_000),
              ("start in less than 3 s", kit["start_s"], less, 3), ("start in less than 3 s of processor time", kit["start_cpu_s"], less, 3), ("less than 250 MB", kit["memory_mb"], less, 250)]
    return [{"goal": goal, "found": round(found, 3), "reached": bool(fits(found, limit))} for goal, found, fits, limit in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000, help="of the large table")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given, settings = parser.parse_args(), load_settings()
    bundle = load_bundle(settings, "Production")
    plan = json.loads((settings.folder(1) / "project_plan.json").read_text(encoding="utf-8"))
    source = open_source(plan["data"]["source"], settings)
    table = next(source.chunks(1_200))
    sent = [row for row in as_sent(table, bundle) if not any(value is None for value in row.values())][:1_000]
    while len(sent) < 1_000:
        sent += sent[:1_000 - len(sent)]
    env = server_environment(settings, MLFLOW_TRACKING_URI=tracking_uri(settings), MLFLOW_DISABLE_TELEMETRY="true",
                             SERVING_REQUESTS_PER_S="0")
    found, running, probabilities, load = {}, {}, {}, [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as folder:
        env[STORE_VARIABLE] = str(Path(folder, "predictions.sqlite"))  # a full one would cut off old rows beside the new
        try:
            for name, (command, port, health, *door) in doors(settings, Path(folder)).items():
                started = time.perf_counter()
                server = start_server(command, port, health, env, wait_s=180)
                running[name] = (server, door, httpx2.Client(base_url=server.url, timeout=120, trust_env=False))
                found[name] = {"start_s": round(time.perf_counter() - started, 2), "start_cpu_s": round(used_s(server.pid), 2),
                               "one": [], "many": [], "one_ms": [], "many_ms": []}
                asked(running[name][2], server.pid, door[0], door[1](sent[:1]), 20)  # warm
            for _ in range(given.rounds):
                load.append(os.getloadavg()[0])
                for name, (server, door, client) in running.items():
                    for kind, path, body, times in (("one", door[0], door[1](sent[:1]), 100), ("many", door[2], door[3](sent), 8)):
                        cpu_ms, latencies, answer = asked(client, server.pid, path, body, times)
                        found[name][kind].append(cpu_ms)
                        found[name][f"{kind}_ms"] += latencies
                    probabilities[name] = np.array(door[4](answer), dtype=float)
            for name, (server, *_) in running.items():
                found[name]["memory_mb"] = round(memory_mb(server.pid))
            server, _, client = running["kit"]
            table = bulk(settings, bundle, table_of(settings, plan["data"]["source"], given.rows), given.rows, client, server.pid)
            table |= {"memory_mb": round(memory_mb(server.pid)), "load": round(os.getloadavg()[0], 1)}
        finally:
            for server, *_ in running.values():
                server.stop()
    result = {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
              "model": f"{getattr(bundle.model, 'title', type(bundle.model).__name__)}, {len(bundle.input_schema)} columns",
              "load": [round(one, 1) for one in load], "rounds": given.rounds, "largest_difference": max(float(np.abs(values - probabilities["kit"]).max())
                                                                for values in probabilities.values()), "servers": {}}
    for name, facts in found.items():
        result["servers"][name] = {
            "start_s": facts["start_s"], "start_cpu_s": facts["start_cpu_s"], "memory_mb": facts["memory_mb"],
            **{f"{kind}_cpu_ms": round(median(facts[kind]), 2) for kind in ("one", "many")},
            **{f"{kind}_p{q}_ms": round(float(np.percentile(facts[f"{kind}_ms"], q)), 1) for kind in ("one", "many") for q in (50, 99)},
            **{f"{kind}_per_s": round(1_000 / float(np.mean(facts[f"{kind}_ms"])), 1) for kind in ("one", "many")}}
    result |= {"bulk": table, "goals": goals(result["servers"], table)}
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{'':16}" + "".join(f"{name:>15}" for name in result["servers"]))
    for key in next(iter(result["servers"].values())):
        print(f"{key:16}" + "".join(f"{facts[key]:>15}" for facts in result["servers"].values()))
    print("a table of many rows:", json.dumps(table))
    for goal in result["goals"]:
        print(f"{'reached' if goal['reached'] else 'MISSED':8} {goal['goal']}: {goal['found']:g}")
    print(f"load of the machine: {min(load):.1f} to {max(load):.1f}")
    print(f"largest difference of a score: {result['largest_difference']:.1e}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
