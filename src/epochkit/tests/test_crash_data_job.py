"""Loading data is killed at random moments and run again: nothing is lost, nothing is done twice, the same bytes come out."""
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from epochkit.core.files import files_of, sha256_of
from epochkit.core.brief import parse_brief
from epochkit.record.checkpoints import progress_of
from epochkit.core.settings import load_settings
from epochkit.wrangling.loading import load_data
from epochkit.sources.catalog import open_source
from epochkit.core.errors import ResourceLimitError
from epochkit.core.project import load_rooms
from epochkit.core.settings import load_settings
from epochkit.planning.plan import make_plan

ROWS, CHUNK = 40_000, 1_000
PARTS = ROWS // CHUNK
BRIEF = '[data]\nsource = "file:{csv}"\ntarget = "y"\npositive = "b"\n[budget]\nfile_mb = {limit}\non_oversize = "{way}"\n[cleaning]\nduplicates = "drop"'


def job(csv: str, home: str, limit: float = 50, way: str = "sample", chunk: int = CHUNK):
    "One load of the table into `home`, as epoch 002 does it"
    load_rooms(load_settings(), 2)
    settings = load_settings(home=home, env={}).model_copy(update={"chunk_rows": chunk})
    brief = parse_brief(BRIEF.format(csv=csv, limit=limit, way=way))
    source = open_source(brief.data.source, settings)
    return load_data(source, make_plan(brief, source, settings), settings, Path(home) / "data")


def counts(result) -> str:
    return json.dumps([result.rows_in, result.rows_out, result.blank, [vars(count) for count in result.steps]])


@pytest.fixture(scope="module")
def csv(tmp_path_factory) -> str:
    "A table with repeated rows, missing marks, text and numbers"
    numbers = np.random.default_rng(0)
    table = pd.DataFrame({"x": numbers.normal(size=ROWS), "v": numbers.normal(size=ROWS), "z": numbers.normal(size=ROWS).round(6), "n": numbers.integers(0, 99, ROWS),
                          "w": numbers.choice(["u", "v ", "?"], ROWS), "y": numbers.choice(["a", "b"], ROWS)})
    table.iloc[30_000:30_100] = table.iloc[:100]
    path = tmp_path_factory.mktemp("table") / "table.csv"
    table.to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def calm(csv, tmp_path_factory):
    "What an undisturbed run gives"
    result = job(csv, str(tmp_path_factory.mktemp("calm")))
    assert result.parts == PARTS and result.rows_out == ROWS - 100
    return result


def start(csv: str, home: Path) -> subprocess.Popen:
    code = ("import sys; from epochkit.tests.test_crash_data_job import job, counts; result = job(*sys.argv[1:]);"
            "print(counts(result)); print(result.resumed); print(result.parts_kept)")
    return subprocess.Popen([sys.executable, "-c", code, csv, str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TQDM_DISABLE": "1"})


def parts_done(home: Path) -> int:
    return len(list(home.glob("data/parts/*/part-*.json")))


def kill_somewhere(process: subprocess.Popen, home: Path, chance: random.Random) -> bool:
    "True when the job, its child or both were killed while there was a child at work; none of them runs on"
    def while_running(waits) -> bool:
        while process.poll() is None and waits():
            time.sleep(0.01)
        return process.poll() is None
    target = min(parts_done(home) + chance.randint(0, 8), PARTS)
    with_child: list[psutil.Process] = []
    while_running(lambda: not with_child and not with_child.extend(psutil.Process(process.pid).children()))
    while_running(lambda: parts_done(home) < target)
    time.sleep(chance.uniform(0, 0.15 if target < PARTS else 2.5))
    victims = {"job": [psutil.Process(process.pid)], "child": with_child}
    for victim in [victims["job"], victims["child"], victims["job"] + with_child][chance.randrange(3)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    alive = psutil.wait_procs(with_child, timeout=10)[1]
    assert not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE], "a child outlived its job"
    return process.returncode != 0


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.soak)])
def test_a_data_job_killed_at_random_moments_ends_with_the_same_bytes(csv, calm, tmp_path, kills):
    chance, done, jobs, expected, at = random.Random(kills), 0, 0, sha256_of(calm.path), []
    while done < kills:
        home, most = tmp_path / f"job{jobs}", 0
        while done < kills:
            done += kill_somewhere(start(csv, home), home, chance)
            settings, file = load_settings(home=home, env={}), home / "data" / "data.parquet"
            assert not file.exists() or sha256_of(file) == expected, "a half-written table was seen"
            assert most <= parts_done(home), "finished work was lost"
            most = parts_done(home)
            at.append(most)
            words = progress_of(settings, 2)
            assert words or most < 1 + PARTS // 10 or file.exists(), "no checkpoint after a tenth of the work"
            if file.exists():
                break
        last = start(csv, home)
        out, errors = last.communicate(timeout=120)
        assert last.returncode == 0, errors[-2000:]
        numbers, resumed, kept = out.splitlines()
        assert numbers == counts(calm) and sha256_of(home / "data" / "data.parquet") == expected
        assert int(kept) == most and resumed == (f"resuming from {words}" if words else "")
        jobs += 1
    assert done >= kills and len(set(at)) > min(kills, PARTS) / 3, f"the kills all fell in the same places: {sorted(at)}"


@pytest.mark.parametrize("way", ["partition", "sample", "error"])
def test_one_megabyte_is_kept_in_each_way(csv, calm, tmp_path, way):
    assert calm.path.stat().st_size > 1.2 * 2**20
    if way == "error":
        with pytest.raises(ResourceLimitError, match='the limit is 1 MB: set on_oversize = "partition" or "sample"'):
            job(csv, str(tmp_path), 1, way, ROWS)
        assert not (tmp_path / "data" / "data.parquet").exists()
        return
    result = job(csv, str(tmp_path), 1, way, ROWS)
    assert max(file.stat().st_size for file in files_of(result.path)) <= 2**20
    frame, whole = pd.read_parquet(result.path), pd.read_parquet(calm.path)
    if way == "partition":
        pd.testing.assert_frame_equal(frame, whole)
    else:
        assert len(frame) == result.rows_out < len(whole) and set(frame["row_id"]) <= set(whole["row_id"])
    assert any("over its limit" in text for text in result.warnings)
