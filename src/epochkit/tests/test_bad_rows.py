"""What a table for scoring can get wrong: through the command, the upload and the service each a right value, or one line that says what to do."""
import csv
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epochkit.cleaning.raw_rows import RowCleaner
from epochkit.cli import main
from epochkit.core.errors import BadInputError
from epochkit.core.settings import load_settings
from epochkit.models.scoring import score_source
from epochkit.serving.api import create_app
from epochkit.serving.app import UPLOADS, score_upload
from epochkit.serving.service import PredictionService
from epochkit.sources.catalog import open_source
from epochkit.testing.examples import ExampleBundle

KINDS = {"id": "number", "income": "number", "debt ratio": "number", "home": "text", "married": "boolean", "since": "datetime ISO8601|%d.%m.%Y",
         "status": "text"}


class CleanedBundle(ExampleBundle):
    "The example with what epoch 002 did: -999 is no income, and `own` has other spellings"

    def __init__(self):
        self.cleaner = RowCleaner(KINDS, "status", wishes={"missing": {"income": [-999]}}, labels={"home": ["own", "rent"]})


HEAD = "id,income,debt ratio,home,married,since\n"
ROWS = "1,40,0.3,rent,true,2024-05-01\n2,-999,0.3,own,false,2024-05-02\n3,1,0.1,own,false,2024-05-03\n"
PLAIN = HEAD + ROWS
TABLE = pd.read_csv(io.StringIO(PLAIN))
SCORES = [0.33, 0.33, 0.426]


def one_more(line: str) -> str:
    "The plain table with a fourth line"
    return f"{PLAIN}{line}\n"


def packed(members: list[str]) -> bytes:
    "A zip with the plain table under each of these names"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        for member in members:
            whole.writestr(member, PLAIN)
    return file.getvalue()


def written(write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


# name of the file, its content, options of the address, scores (None: that row has an error)
RIGHT = {
    "as it should be": ("in.csv", PLAIN, "", SCORES),
    "a delimiter of two signs": ("in.csv", PLAIN.replace(",", "||"), "", SCORES),
    "a delimiter of two signs that is said": ("in.csv", PLAIN.replace(",", "||"), "?delimiter=||", SCORES),
    "a column of cells beyond 128 KiB": ("in.csv", HEAD.strip() + ",note\n" + ROWS.replace("\n", f",{'x' * 200_000}\n"), "", SCORES),
    "a label beyond 128 KiB": ("in.csv", one_more(f"4,40,0.3,{'x' * 200_000},true,"), "", [*SCORES, 0.33]),
    "a byte order mark": ("in.csv", b"\xef\xbb\xbf" + PLAIN.encode(), "", SCORES),
    "UTF-16": ("in.csv", PLAIN.encode("utf-16"), "", SCORES),
    "UTF-16 without a mark": ("in.csv", PLAIN.encode("utf-16-le"), "", SCORES),
    "UTF-32": ("in.csv", PLAIN.encode("utf-32"), "", SCORES),
    "NaN": ("in.csv", one_more("4,NaN,0.3,rent,true,"), "", [*SCORES, 0.33]),
    "NaN where training had no gap": ("in.csv", one_more("4,40,NaN,rent,true,"), "", [*SCORES, None]),
    "Infinity": ("in.csv", one_more("4,Infinity,0.3,rent,true,\n5,-inf,0.3,rent,true,\n6,1e999,0.3,rent,true,"), "", [*SCORES, None, None, None]),
    "gzip": ("in.csv.gz", gzip.compress(PLAIN.encode()), "", SCORES),
    "zip": ("in.zip", packed(["t.csv"]), "", SCORES),
    "one of a zip": ("in.zip", packed(["t.csv", "u.csv"]), "?member=t.csv", SCORES),
    "Parquet": ("in.parquet", written(TABLE.to_parquet), "", SCORES),
    "Excel": ("in.xlsx", written(lambda file: TABLE.to_excel(file, index=False)), "", SCORES),
    "JSON": ("in.json", TABLE.to_json(orient="records"), "", SCORES),
    "JSON lines": ("in.jsonl", TABLE.to_json(orient="records", lines=True), "", SCORES),
    "columns that nobody knows": ("in.csv", HEAD.strip() + ",shoe\n" + ROWS.replace("\n", ",43\n"), "", SCORES),
    "the target, an id and columns in another order": ("in.csv", 
                                                       TABLE.assign(status="bad")[["status", *reversed(TABLE.columns)]].to_csv(index=False), "", SCORES),
    "a mark in other spellings": ("in.csv", one_more("\n".join(f"4,{mark},0.3,rent,true," for mark in ("-999.0", " -999.00 ", "\u2212999", "-9.99e2"))),
                                  "", [*SCORES, 0.33, 0.33, 0.33, 0.33]),
    "a number beside the mark": ("in.csv", one_more("4,-998.9,0.3,rent,true,"), "", [*SCORES, 0.49]),
    "a label in other spellings": ("in.csv", one_more("4,40,0.3, OWN ,TRUE,01.05.2024"), "", [*SCORES, 0.33]),
    "the other decimal mark": ("in.csv", one_more('4,40,"0,25",rent,true,'), "", [*SCORES, None]),
    "decimal commas that are said": ("in.csv", PLAIN.replace(",", ";").replace("0.", "0,"), "?decimal=comma", SCORES),
    "a formula where a number stands": ("in.csv", one_more("4,=1+1,0.3,rent,true,"), "", [*SCORES, None]),
    "a formula where a label stands": ("in.csv", one_more("4,40,0.3,=1+1,true,"), "", [*SCORES, 0.33]),
    "a number beyond the model's": ("in.csv", one_more("4,1e300,0.3,rent,true,"), "", [*SCORES, 0.09]),
    "the header again": ("in.csv", PLAIN + HEAD + ROWS, "", SCORES * 2),
    "a line of totals": ("in.csv", one_more("Total,42,0.7,,,"), "", SCORES),
    "old Mac line ends": ("in.csv", PLAIN.replace("\n", "\r"), "", SCORES),
    "Windows line ends": ("in.csv", PLAIN.replace("\n", "\r\n"), "", SCORES),
    "a column without a value": ("in.csv", HEAD + "1,,0.3,rent,true,\n2,,0.1,own,false,\n", "", [0.33, 0.27]),
    "one row": ("in.csv", HEAD + "1,40,0.3,rent,true,\n", "", [0.33]),
    "a name that is no text": ("in.xlsx", written(lambda file: TABLE.assign(**{"x": 1}).rename(columns={"x": 2024}).to_excel(file, index=False)), "", SCORES),
    "names in another Unicode form": ("in.csv", (HEAD.strip() + ",Gro\u0308\u00dfe\n" + ROWS.replace("\n", ",1\n")), "", SCORES),
    "two thousand columns": ("in.csv", ",".join([HEAD.strip(), *(f"x{i}" for i in range(2_000))]) + "\n" + ROWS.replace("\n", ",1" * 2_000 + "\n"), "", SCORES),
    "mixed types": ("in.jsonl", "\n".join(json.dumps(row | {"income": income}) for row, income in zip(
        TABLE.to_dict("records"), ("40", -999, 1.0))), "", SCORES),
    "keys that are absent": ("in.jsonl", "\n".join(json.dumps({key: value for key, value in row.items() if value != -999})
                                                  for row in TABLE.to_dict("records")), "", SCORES),
    "nothing but infinity": ("in.csv", HEAD + "1,inf,0.3,rent,true,\n", "", [None]),
    "no line end at the end": ("in.csv", PLAIN.rstrip(), "", SCORES),
}

# name of the file, its content (None: no file, a function: makes it), options, words of the one line
WRONG = {
    "an empty file": ("in.csv", b"", "", ("in.csv", "empty")),
    "blank lines": ("in.csv", "  \n\n", "", ("in.csv", "no rows")),
    "a header alone": ("in.csv", HEAD, "", ("in.csv", "no rows")),
    "a name twice": ("in.csv", PLAIN.replace("id,", "income,"), "", ("'income'", "2 times")),
    "no name": ("in.csv", PLAIN.replace("id,", ",", 1), "", ("column 1 of 6", "no name")),
    "a field too many": ("in.csv", one_more("4,1,0.1,own,false,2024-05-03,more\n" + ROWS), "", ("line 5", "7 fields", "6")),
    "fields too few": ("in.csv", one_more("4,1,0.1\n" + ROWS), "", ("line 5", "3 fields", "6")),
    "a last line that was cut": ("in.csv", one_more("4,1,0.1,own"), "", ("line 5", "4 fields")),
    "a quote that stays open": ("in.csv", one_more('4,1,0.1,"own,false,\n' + ROWS), "", ("line 5", "?quote=")),
    "a zero byte": ("in.csv", one_more("4,4\x000,0.3,rent,true,"), "", ("in.csv", "binary")),
    "columns that the model needs": ("in.csv", "id,income\n1,2\n", "", ("lacks 4 of the 5", "debt ratio, home, married, since", "it has: id, income")),
    "a folder": ("in.csv", Path.mkdir, "", ("folder in.csv", "no files")),
    "no file": ("in.csv", None, "", ("no data file", "in.csv")),
    "two tables in a zip": ("in.zip", packed(["t.csv", "u.csv"]), "", ("t.csv, u.csv", "?member=NAME")),
    "half a gzip": ("in.csv.gz", gzip.compress(PLAIN.encode())[:40], "", ("in.csv.gz", "damaged")),
    "no Parquet": ("in.parquet", b"PAR1xxxxPAR1", "", ("in.parquet", "cannot be read")),
    "no Excel": ("in.xlsx", b"PK\x03\x04" + b"0" * 99, "", ("in.xlsx", "Excel")),
    "half a JSON": ("in.json", '[{"a": 1},', "", ("in.json", "record 2")),
    "a pickle": ("in.pkl", b"\x80\x04.", "", ("in.pkl", ".parquet")),
    "another ending": ("in.docx", b"abc", "", ("'.docx'", "save it as")),
    "an option that is none": ("in.csv", PLAIN, "?delim=;", ("'delim'", "did you mean 'delimiter'")),
    "an encoding that is none": ("in.csv", PLAIN, "?encoding=utf-99", ("'utf-99'", "no known encoding")),
}


def put(folder: Path, name: str, content) -> Path:
    path = folder / name
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def score(tmp_path, monkeypatch, capsys):
    "`epoch score` as it is typed: exit code, lines on stderr, and what was written"
    monkeypatch.setenv("EPOCH_BUNDLE", f"{__name__}:CleanedBundle")
    monkeypatch.setenv("EPOCH_HOME", str(tmp_path / "home"))

    def run(source: str, out: Path, *more: str) -> tuple[int, list[str], str]:
        code = main(["score", source, str(out), *more])
        said = capsys.readouterr()
        return code, [line for line in said.err.splitlines() if line.strip() and not line.startswith(("scoring", "note: "))], said.out
    return run


def assert_scores(seen: pd.DataFrame, right: list[float | None]) -> None:
    assert len(seen) == len(right), seen
    got = pd.to_numeric(seen["probability"]).to_numpy(dtype=float)
    assert np.allclose(got, np.array(right, dtype=float), atol=1e-12, equal_nan=True), got
    assert [bool(text) for text in seen["error"].fillna("")] == [score is None for score in right]


@pytest.mark.parametrize("case", RIGHT)
def test_a_table_that_can_be_read_is_scored_rightly_by_every_door(tmp_path, score, case):
    name, content, options, right = RIGHT[case]
    path = put(tmp_path, name, content)
    code, errors, said = score(f"{path}{options}", tmp_path / "out.csv")
    assert (code, errors) == (int(set(right) == {None}), []) and ("the first: row" in said) == (None in right), said
    assert_scores(pd.read_csv(tmp_path / "out.csv", keep_default_na=False, na_values={"probability": [""]}), right)
    if path.suffix[1:] in UPLOADS and not options:
        assert_scores(score_upload(path.read_bytes(), PredictionService(CleanedBundle()), name), right)
    if name == "in.csv" and isinstance(content, str) and len(content) < 500_000 and not options and content.startswith(HEAD) and len(right) > 3:
        assert_service(list(csv.DictReader(io.StringIO(content.replace(HEAD, "")), HEAD.strip().split(","))), right)


def assert_service(rows: list[dict[str, str]], right: list[float | None]) -> None:
    "A batch of what can be scored gives these scores; each other row is refused with its place, and what was sent is not repeated"
    from fastapi.testclient import TestClient
    client = TestClient(create_app(CleanedBundle(), api_key=""), raise_server_exceptions=False)
    rows = [row | {"since": row["since"] or None} for row in rows if row["id"] != "Total"]
    good = [(row, score) for row, score in zip(rows, right, strict=True) if score is not None]
    answers = client.post("/predict/batch", json={"rows": [row for row, _ in good]}).json()["predictions"]
    assert [answer["probability"] for answer in answers] == pytest.approx([score for _, score in good], abs=1e-12)
    for row in [row for row, score in zip(rows, right) if score is None]:
        answer = client.post("/predict", json=row)
        assert answer.status_code == 422 and answer.json()["problems"][0]["where"] in ("body.income", "body.debt ratio"), answer.text
        assert "send a" in answer.json()["problems"][0]["problem"]


@pytest.mark.parametrize("case", WRONG)
def test_a_table_that_cannot_be_read_is_one_line_and_nothing_is_written(tmp_path, score, case):
    name, content, options, words = WRONG[case]
    path = put(tmp_path, name, content)
    code, errors, _ = score(f"{path}{options}", tmp_path / "out.csv")
    assert code == 2 and len(errors) == 1, errors
    assert all(word in errors[0] for word in words), errors[0]
    assert [file.name for file in tmp_path.iterdir() if file.name not in (name, "home")] == []
    if path.is_file() and not options:
        with pytest.raises(BadInputError):
            score_upload(path.read_bytes(), PredictionService(CleanedBundle()), name)


@pytest.mark.parametrize("address, words", [
    ("sql:sqlite:///nowhere.db?table=t", ("nowhere.db",)), ("sql:sqlite:///in.db?table=u", ("'u'", "t")), ("sql:sqlite:///in.csv?table=t", ("in.csv",)),
    ("sql:postgresql://me:secret@127.0.0.1:9/shop?table=t", ("password", "${PASSWORD}")),
    ("sql:postgresql://me@127.0.0.1:9/shop?table=t", ("127.0.0.1",)), ("http://127.0.0.1:9/in.csv", ("127.0.0.1:9",)),
    ("nothing:at.all", ("nothing",)), ("", ("(no name)",)), ("?skip=1", ("(no name)",)), ("file:", ("(no name)",))])
def test_a_source_that_cannot_be_reached_is_one_line_without_its_password(tmp_path, score, monkeypatch, address, words):
    import sqlite3
    monkeypatch.setenv("EPOCH_PROJECT", str(load_settings(env={}).code_root))
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "in.csv", PLAIN)
    with sqlite3.connect(tmp_path / "in.db") as base:
        TABLE.to_sql("t", base, index=False)
    code, errors, _ = score(address, tmp_path / "out.csv")
    assert code == 2 and len(errors) == 1 and all(word in errors[0] for word in words) and "secret" not in errors[0], errors
    assert not (tmp_path / "nowhere.db").exists() and not list(tmp_path.glob(".*"))


def test_a_database_is_scored(tmp_path, score):
    import sqlite3
    with sqlite3.connect(tmp_path / "in.db") as base:
        TABLE.assign(married=["true", "FALSE", "false"]).to_sql("t", base, index=False)
    assert score(f"sql:sqlite:///{tmp_path / 'in.db'}?table=t", tmp_path / "out.csv")[:2] == (0, [])
    assert_scores(pd.read_csv(tmp_path / "out.csv", keep_default_na=False), SCORES)


@pytest.mark.parametrize("out, more, words", [
    ("out.txt", (), ("'.txt'", ".csv or .parquet")), ("out.csv.gz", (), ("'.gz'", ".csv or .parquet")), ("no/out.csv", (), ("no folder", "make it first")),
    ("in.csv", ("--force",), ("table that is read", "another file")), ("link.csv", ("--force",), ("table that is read",)),
    ("there.csv", (), ("exists", "--force")), ("dir.csv", ("--force",), ("is a folder",)), ("out.csv", ("--rows", "-1"), ("--rows -1", "1 or more"))])
def test_an_output_that_cannot_be_written_is_said_first(tmp_path, score, out, more, words):
    path = put(tmp_path, "in.csv", PLAIN)
    (tmp_path / "link.csv").symlink_to(path)
    (tmp_path / "there.csv").write_text("kept")
    (tmp_path / "dir.csv").mkdir()
    code, errors, _ = score(str(path), tmp_path / out, *more)
    assert code == 2 and len(errors) == 1 and all(word in errors[0] for word in words), errors
    assert path.read_text() == PLAIN and (tmp_path / "there.csv").read_text() == "kept" and not list(tmp_path.glob(".*"))


def test_no_cell_that_is_written_beside_the_scores_is_a_formula(tmp_path, score):
    text = "id,income,debt ratio,home,married,since,note,=name\n1,40,0.3,rent,true,,=1+1,-\n2,40,0.3,rent,true,,@SUM(A1),-5 kg\n3,40,0.3,=cmd,true,,-2+3,+49\n"
    path = put(tmp_path, "in.csv", text)
    assert score(str(path), tmp_path / "out.csv")[0] == 0 and score(str(path), tmp_path / "out.parquet")[0] == 0
    seen = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert seen["note"].tolist() == ["'=1+1", "'@SUM(A1)", "'-2+3"] and seen["'=name"].tolist() == ["-", "-5 kg", "+49"]
    assert seen["home"].tolist() == ["rent", "rent", "'=cmd"]
    assert pd.read_parquet(tmp_path / "out.parquet")["note"].tolist() == ["=1+1", "@SUM(A1)", "-2+3"]


def long_table(folder: Path, rows: int, name: str = "in.csv") -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD.strip() + ",note\n")
        for i in range(rows):
            home, married = " own" if i % 3 else "rent", "true" if i % 2 else "FALSE"
            file.write(f'{i},"{i % 50 + 1},000",0.{i % 9},{home},{married},2024-05-{i % 28 + 1:02d},note {i % 100}\n')
    return path


SCRIPT = """
import resource, sys
from pathlib import Path
from epochkit.core.settings import load_settings
from epochkit.models import scoring
from epochkit.sources.catalog import open_source
from epochkit.tests.test_bad_rows import CleanedBundle
home, what = Path(sys.argv[1]), sys.argv[2]
write = scoring._write_part
def stop(work, number, chunk):
    if number == 3 and what == "kill":
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return write(work, number, chunk)
scoring._write_part = stop
if what.startswith("limit"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(what[5:]), resource.RLIM_INFINITY))
source = open_source(f"file:{home / 'in.csv'}", load_settings(home=home, env={}))
report = scoring.score_source(CleanedBundle(), source, home / "out.csv", chunk_rows=100 if what != "memory" else 10_000, shown=False)
print(report.rows, report.resumed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def in_a_process(home: Path, what: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", SCRIPT, str(home), what], capture_output=True, text=True, timeout=600)


def scored_anew(home: Path, tmp_path: Path) -> bytes:
    source = open_source(f"file:{home / 'in.csv'}", load_settings(home=home, env={}))
    score_source(CleanedBundle(), source, tmp_path / "anew.csv", force=True, chunk_rows=100, shown=False)
    return (tmp_path / "anew.csv").read_bytes()


def test_a_run_that_was_killed_goes_on_unless_the_table_has_changed(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    path = long_table(home, 1_000)
    assert in_a_process(home, "kill").returncode == -signal.SIGKILL and not (home / "out.csv").exists()
    assert in_a_process(home, "go on").stdout.split()[:2] == ["1000", "300"]
    assert (home / "out.csv").read_bytes() == scored_anew(home, tmp_path)
    (home / "out.csv").unlink()
    assert in_a_process(home, "kill").returncode == -signal.SIGKILL
    stamp = path.stat()
    path.write_text(path.read_text().replace("0.8", "0.7"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert in_a_process(home, "go on").stdout.split()[:2] == ["1000", "0"]
    assert (home / "out.csv").read_bytes() == scored_anew(home, tmp_path)


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="this system has no limit for the size of a file")
@pytest.mark.parametrize("limit, done", [(20_000, "1000"), (2_000, "0")], ids=("when the parts are joined", "at the first part"))
def test_a_disk_that_is_full_is_one_line_and_what_is_finished_is_kept(tmp_path, limit, done):
    long_table(tmp_path, 1_000)
    stopped = in_a_process(tmp_path, f"limit{limit}")
    last = stopped.stderr.strip().splitlines()[-1]
    assert stopped.returncode == 1 and last.startswith("epochkit.core.errors.BadInputError") and "write to another disk" in last
    assert not (tmp_path / "out.csv").exists()
    assert in_a_process(tmp_path, "go on").stdout.split()[:2] == ["1000", done]
    assert (tmp_path / "out.csv").read_bytes() == scored_anew(tmp_path, tmp_path)


def test_two_runs_into_one_file_do_not_mix(tmp_path, score):
    from filelock import FileLock
    path = put(tmp_path, "in.csv", PLAIN)
    with FileLock(tmp_path / ".out.csv.lock"):
        code, errors, _ = score(str(path), tmp_path / "out.csv")
    assert code == 2 and len(errors) == 1 and "another run is writing" in errors[0] and not (tmp_path / "out.csv").exists()
    assert score(str(path), tmp_path / "out.csv")[0] == 0 and not list(tmp_path.glob(".*"))


def test_a_table_that_changes_under_way_is_not_scored(tmp_path, score, monkeypatch):
    from epochkit.models import scoring
    path, write = long_table(tmp_path, 30_000), scoring._write_part

    def touch(work, number, chunk):
        path.write_text(path.read_text().replace("rent", "own", 1))
        return write(work, number, chunk)
    monkeypatch.setattr(scoring, "_write_part", touch)
    code, errors, _ = score(str(path), tmp_path / "out.csv")
    assert code == 2 and len(errors) == 1 and "changed while" in errors[0] and not (tmp_path / "out.csv").exists()
    monkeypatch.setattr(scoring, "_write_part", write)
    assert score(str(path), tmp_path / "out.csv")[0] == 0 and len(pd.read_csv(tmp_path / "out.csv")) == 30_000


@pytest.mark.cases
def test_a_million_rows_take_no_more_memory_than_fifty_thousand(tmp_path):
    peaks = []
    for rows in (50_000, 1_000_000):
        home = tmp_path / str(rows)
        home.mkdir()
        long_table(home, rows)
        done = in_a_process(home, "memory")
        assert done.stdout.split()[0] == str(rows), done.stderr
        peaks.append(int(done.stdout.split()[2]))
    assert peaks[1] < peaks[0] + 150, peaks
    with open(home / "out.csv", encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1_000_001


def test_requests_at_the_limit_are_answered_and_beyond_it_refused():
    from fastapi.testclient import TestClient
    from epochkit.serving.schema import Limits
    limits = Limits(rows=3, body_mb=0.002, text=10)
    client = TestClient(create_app(CleanedBundle(), api_key="", limits=limits), raise_server_exceptions=False)
    row = {"income": 40, "debt ratio": 0.3, "home": "rent", "married": True, "since": None}
    for count, status in ((3, 200), (4, 422)):
        assert client.post("/predict/batch", json={"rows": [row] * count}).status_code == status
    for spaces, status in ((8, 200), (9, 422)):
        assert client.post("/predict", json=row | {"income": "40" + " " * spaces}).status_code == status
    body = json.dumps(row).encode()
    for size, status in ((2_000, 200), (2_001, 413)):
        assert client.post("/predict", content=body + b" " * (size - len(body)), headers={"content-type": "application/json"}).status_code == status
    for depth, status in ((3, 422), (1_000, 422), (1_001, 413)):
        answer = client.post("/predict", content=b"[" * depth + b"]" * depth, headers={"content-type": "application/json"})
        assert answer.status_code == status and "[" not in answer.json()["detail"]
