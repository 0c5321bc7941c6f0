"""A real PostgreSQL as a source: order, types, rights, secrets, and a server that dies while it is read."""
import contextlib
import logging
import pickle
import subprocess
import sys
import time
import tracemalloc

import pandas as pd
import pytest

from epochkit.core.settings import load_settings
from epochkit.sources.catalog import open_source
from epochkit.sources.database import SqlSource
from epochkit.core.errors import BadInputError
from epochkit.tests.conftest import epoch
from epochkit.tests.postgres import HINT, binaries, postgres

pytestmark = pytest.mark.skipif(binaries() is None, reason=HINT)


@pytest.fixture(scope="module")
def server():
    with postgres() as running:
        running.execute(
            "CREATE SCHEMA bank",
            "CREATE TABLE bank.loans (id int PRIMARY KEY, amount numeric(10, 2), note text)",
            "INSERT INTO bank.loans SELECT 5001 - n, n * 1.5, CASE WHEN n % 7 > 0 THEN 'note ' || n END FROM generate_series(1, 5000) n",
            'CREATE TABLE "odd.name" ("index" int, "100% a:b" text, "row ""x""" float)',
            """INSERT INTO "odd.name" VALUES (3, '50%', 1.5), (1, 'a:b', NULL), (2, 'it''s', -2)""",
            "CREATE VIEW bank.view AS SELECT note, amount, '{\"a\": 1}'::json AS extra FROM bank.loans WHERE id <= 10",
            "CREATE MATERIALIZED VIEW frozen AS SELECT * FROM bank.loans WHERE id < 4",
            "CREATE TABLE nothing (a int)")
        yield running


@pytest.fixture
def settings(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KIT_DB_PASSWORD", server.password)
    return load_settings(home=tmp_path, env={})


def test_a_table_of_a_schema_comes_in_the_order_of_its_key(server, settings):
    source = open_source(server.spec("table=bank.loans"), settings, "amount")
    assert source.columns == ["id", "amount", "note"] and source.rows == 5000 and source.warnings == [] and source.files == []
    chunks = list(source.chunks(2000))
    assert [len(chunk) for chunk in chunks] == [2000, 2000, 1000]
    whole = pd.concat(chunks, ignore_index=True)
    assert whole["id"].tolist() == list(range(1, 5001)) and whole["amount"].iloc[-1] == 1.5
    assert whole.dtypes.astype(str).tolist() == ["int64", "float64", "str"] and whole["note"].isna().sum() == 714
    pd.testing.assert_frame_equal(next(source.chunks(2000, start=2)), chunks[2])
    assert list(source.chunks(2000, start=3)) == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_way_to_write_the_address_uses_psycopg_3(server, settings, scheme):
    source = open_source(server.spec("table=bank.loans").replace("postgresql", scheme), settings)
    assert source._engine.dialect.driver == "psycopg" and source.head(1)["id"].tolist() == [1]


def test_names_with_dots_percents_colons_and_quotes_are_read(server, settings):
    source = open_source(server.spec("table=odd.name"), settings)
    assert source.columns == ["index", "100% a:b", 'row "x"']
    assert source.head()["index"].tolist() == [3, 1, 2] and "no primary key" in source.warnings[0] and "stored" in source.warnings[0]


def test_a_query_is_sent_as_it_stands(server, settings):
    query = """query=SELECT "index"::text AS "%s", '::x' AS c, "100% a:b" AS "a:b" FROM "odd.name" WHERE "100% a:b" LIKE '%0\\%' OR "index" % 2 = 1 ORDER BY 1; """
    source = open_source(server.spec(query), settings)
    assert source.head().to_dict("list") == {"%s": ["1", "3"], "c": ["::x", "::x"], "a:b": ["a:b", "50%"]} and source.warnings == []
    encoded = server.spec("query=SELECT+id+FROM+bank.loans+WHERE+note+LIKE+%27%251%27+ORDER+BY+id")
    assert open_source(encoded, settings).rows == 428
    assert "ORDER BY" in open_source(server.spec("query=SELECT note FROM bank.loans"), settings).warnings[0]


def test_a_query_starts_in_the_middle_too(server, settings):
    source = open_source(server.spec("query=SELECT * FROM bank.loans ORDER BY id DESC"), settings)
    assert next(source.chunks(900, start=5))["id"].tolist() == list(range(500, 0, -1))


def test_views_are_sorted_by_all_columns(server, settings):
    view = open_source(server.spec("table=bank.view"), settings)
    assert view.rows == 10 and any("sorted by all columns" in line for line in view.warnings) and any("JSON" in line for line in view.warnings)
    assert view.head()["extra"].tolist() == ['{"a": 1}'] * 10 and view.fingerprint() == open_source(server.spec("table=bank.view"), settings).fingerprint()
    assert open_source(server.spec("table=frozen"), settings).rows == 3


def test_every_common_type_becomes_a_sensible_column(server, settings):
    source = open_source(server.spec("""query=SELECT 1 AS n, 1.50::numeric AS price, 12345678901234567890::numeric AS code, gen_random_uuid() AS id, true AS yes,
        DATE '2024-02-29' AS day, TIMESTAMPTZ '2024-01-01 01:00+02' AS moment, INTERVAL '1 day 2 hours' AS took, '{"b": [1]}'::jsonb AS extra,
        ARRAY['x', NULL] AS tags, '\\x00ff'::bytea AS raw, INET '10.0.0.1' AS place, NULL::int AS nothing, 2.5::real AS x, TIME '08:30' AS at ORDER BY 1"""), settings)
    row = source.head().iloc[0]
    assert source.head().dtypes.astype(str).to_dict() == {
        "n": "int64", "price": "float64", "code": "str", "id": "str", "yes": "bool", "day": "datetime64[us]", "moment": "datetime64[us]", "took": "float64",
        "extra": "str", "tags": "str", "raw": "str", "place": "str", "nothing": "str", "x": "float64", "at": "str"}
    assert (row["price"], row["code"], row["took"], row["extra"], row["tags"], row["raw"], row["place"], row["at"]) == (
        1.5, "12345678901234567890", 93600.0, '{"b": [1]}', '["x", null]', "00ff", "10.0.0.1", "08:30:00")
    assert row["moment"] == pd.Timestamp("2023-12-31 23:00") and row["day"] == pd.Timestamp("2024-02-29") and pd.isna(row["nothing"])
    assert {"column 'took': intervals are given in seconds", "column 'raw': bytes are given as hexadecimal text"} <= set(source.warnings)


@pytest.mark.parametrize("rest, words", [
    ("table=loans", "did you mean 'bank.loans'"), ("table=bank.laons", "did you mean 'bank.loans'"), ("table=nothing", "has no rows"),
    ("query=SELECT nope FROM bank.loans", "nope"), ("query=DELETE FROM bank.loans", "write a SELECT"),
    ("query=WITH gone AS (DELETE FROM bank.loans RETURNING *) SELECT * FROM gone", "cannot be read"), ("query=CALL x()", "cannot be read"),
    ("query=SELECT 1 AS a, 2 AS a", "'a' appears 2 times"), ("query=SELECT 1 / (id - 3) FROM bank.loans ORDER BY id", "division by zero"),
    ("query=SELECT DATE 'infinity' AS day", "cannot be read"), ("sslmode=nonsense&table=bank.loans", "sslmode")])
def test_what_cannot_be_read_is_one_line(server, settings, rest, words):
    with pytest.raises(BadInputError, match=words) as caught:
        list(open_source(server.spec(rest), settings).chunks(1000))
    assert "\n" not in str(caught.value) and server.password not in str(caught.value) and "sqlalche.me" not in str(caught.value)
    assert server.execute("SELECT count(*) FROM bank.loans") == [(5000,)]


def test_a_wrong_password_is_said_without_showing_it(server, settings, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("KIT_DB_PASSWORD", "wr0ng%40/word")
    with pytest.raises(BadInputError, match="password authentication failed.*environment variable") as caught:
        open_source(server.spec("table=bank.loans"), settings)
    chain = [caught.value, caught.value.__cause__]
    assert "wr0ng" not in f"{chain} {caplog.text}" and caught.value.__suppress_context__


def test_a_host_or_a_server_that_is_not_there_fails_fast(server, settings):
    started = time.monotonic()
    for place, words in (("no-such-host.invalid:5432", "check the name of the host"), ("127.0.0.1:1", "database runs there"),):
        with pytest.raises(BadInputError, match=words):
            open_source(f"sql:postgresql://kit:${{KIT_DB_PASSWORD}}@{place}/postgres?table=bank.loans", settings)
    with pytest.raises(BadInputError, match='"nowhere" does not exist'):
        open_source(server.spec("table=bank.loans").replace("/postgres?", "/nowhere?"), settings)
    assert time.monotonic() - started < 25
    assert SqlSource(server.spec("table=t").removeprefix("sql:"), settings)._engine.dialect.driver == "psycopg"


def test_nothing_that_is_shown_or_pickled_holds_the_password(server, settings):
    source = open_source(server.spec("table=bank.loans"), settings)
    source.fingerprint()
    shown = f"{source.describe()} {source!r} {source.warnings} {pickle.dumps(source)} {vars(source)}"
    assert server.password not in shown and f"127.0.0.1:{server.port}/postgres, bank.loans" in source.describe()["where"]
    assert pickle.loads(pickle.dumps(source)).rows == 5000


def test_the_whole_address_may_come_from_the_environment(server, settings, monkeypatch):
    from urllib.parse import quote
    monkeypatch.setenv("KIT_DB", f"postgres://kit:{quote(server.password, safe='')}@127.0.0.1:{server.port}/postgres?connect_timeout=5")
    assert open_source("sql:${KIT_DB}?table=bank.loans", settings).rows == 5000


def test_the_fingerprint_follows_a_changed_cell(server, settings):
    spec = server.spec("table=changing")
    server.execute("DROP TABLE IF EXISTS changing", "CREATE TABLE changing AS SELECT n AS id, 'x' AS v FROM generate_series(1, 10) n")
    before = open_source(spec, settings).fingerprint()
    assert open_source(spec, settings).fingerprint() == before
    server.execute("UPDATE changing SET v = 'y' WHERE id = 5")
    assert open_source(spec, settings).fingerprint() != before


def test_a_connection_that_is_cut_midway_is_one_line_and_the_next_read_goes_on(server, settings):
    source = open_source(server.spec("table=bank.loans"), settings)
    source.fingerprint()
    reading, seen = source.chunks(100), 0
    with pytest.raises(BadInputError, match="cannot be read after 1,000 rows.*run again") as caught:
        for seen, chunk in enumerate(reading, 1):
            if seen == 10:
                server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
    assert seen == 10 and "\n" not in str(caught.value)
    assert next(source.chunks(100, start=10))["id"].tolist() == list(range(1001, 1101))


def test_a_table_larger_than_memory_allows_is_streamed(server, settings):
    source = open_source(server.spec("query=SELECT n AS id, repeat('x', 1000) || n AS v FROM generate_series(1, 60000) n ORDER BY n"), settings)
    source.columns
    tracemalloc.start()
    assert sum(1 for _ in source._rows(1000)) == 60
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak < 20, f"{peak:.0f} MB for 60 MB of rows read a thousand at a time"


BRIEF = """[data]
source = "{spec}"
target = "bad"
positive = "yes"
[budget]
tuning_trials = 1
"""


def test_epochs_one_and_two_run_on_it_and_go_on_after_the_server_died(settings, tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres())
        monkeypatch.setenv("KIT_DB_PASSWORD", server.password)
        server.execute("CREATE TABLE loans (id int PRIMARY KEY, income numeric, since date, city text, bad text)",
                       "INSERT INTO loans SELECT n, n % 97 * 10.5, DATE '2020-01-01' + n % 900, 'c' || n % 5, CASE WHEN n % 3 = 0 THEN 'yes' ELSE 'no' END "
                       "FROM generate_series(1, 3000) n")
        (tmp_path / "brief.toml").write_text(BRIEF.format(spec=server.spec("table=loans")))
        first = epoch(tmp_path, "run", "1", "--brief", str(tmp_path / "brief.toml"), "--unattended", "test")
        assert first.returncode == 0, first.stderr[-2000:]
        server.stop()
        down = epoch(tmp_path, "run", "2", "--unattended", "test")
        assert down.returncode == 2 and "database runs there" in down.stderr and "Traceback" not in down.stderr, down.stderr[-2000:]
        server.start()
        again = epoch(tmp_path, "run", "1-2", "--unattended", "test")
        assert again.returncode == 0, again.stderr[-2000:]
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".jsonl", ".html", ".ipynb", ".md", ".toml", ".log")]
        assert not [path for path in files if server.password.encode() in path.read_bytes()]


def test_the_server_ends_with_its_test():
    code = ("from epochkit.tests.postgres import postgres\nwith postgres() as server:\n    print(server.folder, server.port)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    folder = done.stdout.split()[0]
    import psutil
    assert not [process for process in psutil.process_iter(["cmdline"]) if folder in " ".join(process.info["cmdline"] or [])]
