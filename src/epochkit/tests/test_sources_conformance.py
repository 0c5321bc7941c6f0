"""What every kind of source inherits: write one class under `@data_source`, add one subclass here, get these tests.

Each subclass of `SourceContract` makes one small table for its kind; see `nbs/testing/01_source_contract`. Kinds of the kit: files here
first, then the others, each under its own heading. Append at the end."""
import contextlib
import sqlite3
import zipfile

import numpy
import pandas as pd
import pyarrow as pa
import pytest

from epochkit.synthetic.copula import Copula
from epochkit.testing.source_contract import SourceContract
from epochkit.synthetic.source import SyntheticSource
from epochkit.tests.object_store import object_store
from epochkit.tests.postgres import HINT, binaries, postgres
from epochkit.tests.webserver import Page, serving

# ---------------------------------------------------------------------------------------------------------------- files
TABLE = pd.DataFrame({"n": [1, 2, 3, 4, 5], "x": [0.5, None, 2.5, 3.5, 4.5], "w": ["a", "b,c", None, "ü\nd", "e"],
                      "größe in m²": [1.0, 2.0, None, 4.0, 5.5]})


class FileContract(SourceContract):
    "A file written by `write` from a table"
    name = ""

    def write(self, frame, path):
        raise TypeError("a format writes its own file")

    def make(self, tmp_path, settings):
        self.write(TABLE, tmp_path / self.name)
        return f"file:{self.name}", TABLE

    def changed(self, tmp_path, settings):
        frame = TABLE.copy()
        frame.loc[3, "x"] = 9.5
        self.write(frame, tmp_path / self.name)
        return f"file:{self.name}"

    def broken(self, tmp_path, settings):
        (tmp_path / f"empty-{self.name}").write_bytes(b"")
        return {f"file:empty-{self.name}": "empty", "file:nowhere.csv": "not found", f"file:{self.name}?encodign=x": "encoding"}


class TestCsv(FileContract):
    name = "t.csv"

    def write(self, frame, path):
        frame.to_csv(path, index=False)


class TestTsv(FileContract):
    name = "t.tsv"

    def write(self, frame, path):
        frame.to_csv(path, index=False, sep="\t")


class TestJsonLines(FileContract):
    name = "t.jsonl"

    def write(self, frame, path):
        frame.to_json(path, orient="records", lines=True, force_ascii=False)


class TestParquet(FileContract):
    name = "t.parquet"

    def write(self, frame, path):
        frame.to_parquet(path, row_group_size=2)


class TestSemicolonsAndDecimalCommas(FileContract):
    name = "t.txt"

    def write(self, frame, path):
        frame.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252", lineterminator="\r\n")

    def make(self, tmp_path, settings):
        spec, _ = super().make(tmp_path, settings)
        texts = {name: TABLE[name].map(lambda value: str(value).replace(".", ","), na_action="ignore").astype("str")
                 for name in ("x", "größe in m²")}
        return spec, TABLE.assign(**texts)  # a decimal comma is text until the cleaning has read it


class TestManyCharacterDelimiter(FileContract):
    name = "t.csv"

    def write(self, frame, path):
        text = frame.to_csv(index=False, sep="\x1f").replace("\x1f", "<|>")
        path.write_text(text, encoding="utf-16")

    def make(self, tmp_path, settings):
        super().make(tmp_path, settings)
        return f"file:{self.name}?delimiter=<|>", TABLE

    def changed(self, tmp_path, settings):
        return super().changed(tmp_path, settings) + "?delimiter=<|>"


class Packed(FileContract):
    "The CSV, packed"

    def write(self, frame, path):
        frame.to_csv(path, index=False)


class TestGzip(Packed):
    name = "t.csv.gz"


class TestBzip2(Packed):
    name = "t.csv.bz2"


class TestXz(Packed):
    name = "t.csv.xz"


class TestZip(Packed):
    name = "t.csv.zip"


class TestZstd(Packed):
    name = "t.csv.zst"

    def write(self, frame, path):
        import pyarrow
        with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
            file.write(frame.to_csv(index=False).encode())


class TestJsonArray(FileContract):
    name = "t.json"

    def write(self, frame, path):
        frame.to_json(path, orient="records", force_ascii=False, indent=1)


class TestJsonLinesInGzip(FileContract):
    name = "t.jsonl.gz"

    def write(self, frame, path):
        frame.to_json(path, orient="records", lines=True)


class TestParquetInZip(FileContract):
    name = "t.zip"

    def write(self, frame, path):
        frame.to_parquet(path.with_suffix(".parquet"))
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(path.with_suffix(".parquet"), "t.parquet")


class TestFeather(FileContract):
    name = "t.feather"

    def write(self, frame, path):
        frame.to_feather(path)


class TestArrowStream(FileContract):
    name = "t.arrows"

    def write(self, frame, path):
        table = pa.Table.from_pandas(frame)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)


class TestExcel(FileContract):
    name = "t.xlsx"

    def write(self, frame, path):
        frame.to_excel(path, index=False, startrow=2)


class TestFolder(FileContract):
    "Two files under hive-partitioned folders"
    name = "parts"

    def write(self, frame, path):
        for year, part in ((2023, frame[:2]), (2024, frame[2:])):
            (path / f"year={year}").mkdir(parents=True, exist_ok=True)
            part.to_parquet(path / f"year={year}" / "part.parquet")

    def make(self, tmp_path, settings):
        super().make(tmp_path, settings)
        return "file:parts", TABLE.assign(year=[2023, 2023, 2024, 2024, 2024])

    def broken(self, tmp_path, settings):
        (tmp_path / "empty").mkdir()
        return {"file:empty": "nothing that can be read", "file:part": "did you mean 'parts'"}


# ------------------------------------------------------------------------------------------------------------ databases
KEYED = pd.DataFrame({"id": [1, 2, 3, 4, 5], "x": [0.5, None, 2.5, 3.5, 4.5], "w": ["a", "b,c", None, "ü\nd", "50% :x 'q'"],
                      "größe in m²": [1.0, 2.0, None, 4.0, 5.5]})


class TestSqliteTable(SourceContract):
    spec = "sql:sqlite:///t.db?table=t"

    def make(self, tmp_path, settings):
        (tmp_path / "t.db").unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as base, base:
            base.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, x DECIMAL, w, "größe in m²")')
            base.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", KEYED.astype(object).where(KEYED.notna(), None).iloc[::-1].to_numpy().tolist())
        return self.spec, KEYED

    def changed(self, tmp_path, settings):
        with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as base, base:
            base.execute("UPDATE t SET x = 9.5 WHERE id = 4")
        return self.spec

    def broken(self, tmp_path, settings):
        return {"sql:sqlite:///t.db?table=tt": "did you mean 't'", "sql:sqlite:///nowhere.db?table=t": "not found",
                "sql:sqlite:///t.db?query=SELECT nope FROM t": "nope", "sql:sqlite:///t.db": "exactly one of"}


class TestSqliteQuery(TestSqliteTable):
    spec = "sql:sqlite:///t.db?query=SELECT * FROM t WHERE id % 2 >= 0 AND '?:x' <> '%' ORDER BY id"


@pytest.mark.skipif(binaries() is None, reason=HINT)
class TestPostgres(SourceContract):
    query = "table=bank.t"

    @pytest.fixture(scope="class", autouse=True)
    def running(self):
        with postgres() as server:
            server.execute("CREATE SCHEMA bank", 'CREATE TABLE bank.t (id int PRIMARY KEY, x numeric, w text, "größe in m²" float)')
            type(self).server, type(self).secrets = server, (server.password,)
            yield

    @pytest.fixture(autouse=True)
    def password(self, running, monkeypatch):
        monkeypatch.setenv("KIT_DB_PASSWORD", self.server.password)

    def make(self, tmp_path, settings):
        def literal(value):
            return "NULL" if pd.isna(value) else "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
        rows = ", ".join(f"({', '.join(map(literal, row))})" for row in KEYED.iloc[::-1].itertuples(index=False))
        self.server.execute("TRUNCATE bank.t", f"INSERT INTO bank.t VALUES {rows}")
        return self.server.spec(self.query), KEYED

    def changed(self, tmp_path, settings):
        self.server.execute("UPDATE bank.t SET w = 'b;c' WHERE id = 2")
        return self.server.spec(self.query)

    def broken(self, tmp_path, settings):
        return {self.server.spec("table=bank.tt"): "did you mean 'bank.t'", self.server.spec(self.query, password="${NO_SUCH_PASSWORD}"): "NO_SUCH_PASSWORD",
                self.server.spec(self.query).replace("kit:", "nobody:"): "password authentication failed",
                self.server.spec(self.query, password=self.server.password.replace("/", "")): "plain text"}


class TestPostgresQuery(TestPostgres):
    query = "query=SELECT * FROM bank.t WHERE w IS NULL OR w NOT LIKE '%::%' ORDER BY id"


# ------------------------------------------------------------------------------------------------------------------ web
class TestWebPages(SourceContract):
    "JSON, two rows a page, behind a bearer token"
    secrets = ("hunter2",)
    words = "records=data&page=page&token=KIT_WEB_TOKEN"
    version = 0

    @pytest.fixture(scope="class", autouse=True)
    def running(self):
        with serving({"/items": self.answer}) as server:
            type(self).server = server
            yield

    @pytest.fixture(autouse=True)
    def token(self, running, monkeypatch):
        monkeypatch.setenv("KIT_WEB_TOKEN", "hunter2")

    @classmethod
    def answer(cls, parameters):
        if cls.server.headers[-1]["Authorization"] != "Bearer hunter2":
            return Page(401)
        first = 2 * int(parameters["page"]) - 2
        return Page(text=f'{{"data": {cls.rows()[first:first + 2].to_json(orient="records")}}}', kind="application/json")

    @classmethod
    def rows(cls):
        return KEYED.assign(x=KEYED["x"].replace(3.5, 9.5) if cls.version else KEYED["x"])

    def make(self, tmp_path, settings):
        type(self).version = 0
        return f"{self.server.url}/items#{self.words}", KEYED

    def changed(self, tmp_path, settings):
        type(self).version = 1
        return f"{self.server.url}/items#{self.words}&snapshot=changed"

    def broken(self, tmp_path, settings):
        url = self.server.url
        return {f"{url}/gone#page=page&token=KIT_WEB_TOKEN": "404", f"{url}/items#{self.words}&snapshot=2&records=rows": "allowed: data", f"{url}/items#pgae=page": "did you mean 'page'",
                f"{url}/items#page=page": "it wants a secret", f"{url}/items#token=NO_SUCH_TOKEN": "NO_SUCH_TOKEN", f"{url}/items?api_key=hunter2#page=page": "plain text",
                "http://no-such-host.invalid/items": "check the name of the host"}


class TestWebCsv(TestWebPages):
    "CSV on one page, the secret in a header of its own"
    words = "token=KIT_WEB_TOKEN&header=X-Api-Key"

    @classmethod
    def answer(cls, parameters):
        return Page(text=cls.rows().to_csv(index=False), kind="text/csv") if cls.server.headers[-1]["X-Api-Key"] == "hunter2" else Page(403, text="no hunter2")

    def broken(self, tmp_path, settings):
        return {f"{self.server.url}/items#token=KIT_WEB_TOKEN": "403"}


# --------------------------------------------------------------------------------------------------------------- objects
class TestObjectStore(SourceContract):
    "The objects of two years under a place"
    secrets = ("hush",)

    @pytest.fixture(autouse=True)
    def store(self, monkeypatch):
        with object_store() as (found, variables):
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            self.objects = found.objects
            yield

    def fill(self, place, table):
        for year, rows in {2023: table.head(2), 2024: table.tail(len(table) - 2)}.items():
            self.objects[f"lake/{place}/year={year}/rows.csv"] = rows.drop(columns="year").to_csv(index=False).encode()

    def make(self, tmp_path, settings):
        table = pd.DataFrame({"n": [1, 2, 3, 4, 5], "w": ["a", "b,c", "d", "ü", "e"], "year": [2023, 2023, 2024, 2024, 2024]})
        self.fill("loans", table)
        return "s3://lake/loans", table

    def changed(self, tmp_path, settings):
        self.fill("changed", self.make(tmp_path, settings)[1].assign(n=[1, 2, 9, 4, 5]))
        return "s3://lake/changed"

    def broken(self, tmp_path, settings):
        return {"s3://lake/none": "nothing is there", "s3://lake/loans?refesh=1d": "did you mean 'refresh'", "s3:lake": "write s3://BUCKET/KEY"}


# ------------------------------------------------------------------------------------------------------------ synthetic
class SyntheticContract(SourceContract):
    "A small table of a domain; another seed is its changed cell"
    spec = ""

    def make(self, tmp_path, settings):
        made = SyntheticSource(self.spec.removeprefix("synthetic:"), settings).table.draw(0)
        return self.spec, made

    def changed(self, tmp_path, settings):
        return f"{self.spec}&seed=43"

    def broken(self, tmp_path, settings):
        return {"synthetic:chrun": "did you mean 'churn'", f"{self.spec}&sed=1": "did you mean 'seed'", "synthetic:churn?rows=0": "from 1 to"}


class TestSyntheticReadmission(SyntheticContract):
    spec = "synthetic:readmission?rows=7&missing=0.4&leak=1"


class TestSyntheticMaintenance(SyntheticContract):
    spec = "synthetic:predictive_maintenance?rows=9&features=12"


class TestSyntheticDemand(SyntheticContract):
    spec = "synthetic:demand?rows=8"


class TestSyntheticLike(SourceContract):
    "Rows like those of a file; the same rows must come back from another reading of that file"

    def make(self, tmp_path, settings):
        TABLE.to_csv(tmp_path / "sample.csv", index=False)
        spec = "synthetic:like?file=sample.csv&rows=6"
        return spec, Copula(TABLE).draw(numpy.random.default_rng([42, 0, 1]), 6)

    def changed(self, tmp_path, settings):
        TABLE.assign(n=[1, 2, 3, 4, 6]).to_csv(tmp_path / "sample.csv", index=False)
        return "synthetic:like?file=sample.csv&rows=6"

    def broken(self, tmp_path, settings):
        return {"synthetic:like?file=smaple.csv": "did you mean 'sample.csv'", "synthetic:like?rows=6": "exactly one of"}
