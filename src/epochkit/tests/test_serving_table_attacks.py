"""Bodies that say they are tables: one clear answer from both frameworks, no 5xx, no echo, no dead process, and no second lost."""
import io
import json
import struct
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from epochkit.serving.api import create_app, create_flask_app
from epochkit.serving.schema import Limits
from epochkit.testing.examples import ExampleBundle, example_row

PARQUET, ARROW, CSV = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream", "text/csv"
TABLE = pa.Table.from_pylist([example_row(home="own")] * 6)
TEXTS = struct.pack("<7i", *range(0, 21, 3))  # where the six texts "own" begin and end in a stream


def packed(table, **options):
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def streamed(table, compression=None):
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def holding(name, values):
    "The table with other cells in one column"
    return TABLE.set_column(TABLE.column_names.index(name), name, values)


def lying(texts):
    "A stream whose texts are said to begin and end elsewhere"
    whole = streamed(TABLE)
    assert whole.count(TEXTS) >= 1
    return whole.replace(TEXTS, struct.pack("<7i", *texts))


def coded(values, kind=pa.int32()):
    "A column by codes of which some stand for nothing"
    return pa.DictionaryArray.from_arrays(pa.array([0, 99_999_999, -7, 1, 2, 3], kind), values, safe=False)


def endless():
    "Half a kilobyte that stands for 2³¹ rows without a cell"
    batch = pa.record_batch([pa.nulls(2**31 - 1) for _ in TABLE.column_names], names=TABLE.column_names)
    return streamed(pa.Table.from_batches([batch]))


def named(**texts):
    return TABLE.replace_schema_metadata(texts)


def wide(columns):
    return pa.table({**{name: TABLE[name] for name in TABLE.column_names}, **{f"secret{at}": pa.nulls(6) for at in range(columns)}})


def footer(number):
    whole = packed(TABLE)
    return whole[:-8] + struct.pack("<I", number) + whole[-4:]


def length(number):
    whole = streamed(TABLE)
    return whole[:4] + struct.pack("<i", number) + whole[8:]


def unpickled():
    "A column that asks a reader to run code"
    told = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": "cos\nsystem\n(S'exit 1'\ntR."}
    return streamed(TABLE.cast(pa.schema([one.with_metadata(told) if one.name == "home" else one for one in TABLE.schema])))


FAR = pa.array([2**62] * 6, pa.timestamp("s"))
ATTACKS = {
    "texts beyond the stream": (ARROW, lambda: lying([0, 2**20, 2**21, 2**22, 2**23, 2**24, 2**30]), 422),
    "texts that go back": (ARROW, lambda: lying([0, 3, 2, 1, -5, -100_000, 3]), 422),
    "texts that go back inside": (ARROW, lambda: lying([0, 18, 3, 15, 6, 12, 18]), 422),
    "texts that end before they begin": (ARROW, lambda: lying([18, 15, 12, 9, 6, 3, 0]), 422),
    "texts that are no utf-8": (ARROW, lambda: streamed(TABLE).replace(b"own" * 6, b"\xff\xfe\xfd" * 6), 422),
    "bytes that are no utf-8": (PARQUET, lambda: packed(holding("home", pa.array([b"\xff\x00secret"] * 6))), 422),
    "codes of no label": (ARROW, lambda: streamed(holding("home", coded(pa.array(["own"])))), 422),
    "codes of no number": (ARROW, lambda: streamed(holding("income", coded(pa.array([1.0])))), 422),
    "codes of no label, in 64 bits": (ARROW, lambda: streamed(holding("home", coded(pa.array(["own"]), pa.int64()))), 422),
    "run ends": (ARROW, lambda: streamed(holding("home", pa.RunEndEncodedArray.from_arrays(pa.array([6], pa.int32()), pa.array(["own"])))), 422),
    "views": (ARROW, lambda: streamed(holding("home", pa.array(["own"] * 6, pa.string_view()))), 200),
    "a union": (ARROW, lambda: streamed(holding("home", pa.UnionArray.from_sparse(pa.array([0] * 6, pa.int8()), [pa.array(["own"] * 6)]))), 422),
    "lists": (ARROW, lambda: streamed(holding("home", pa.array([["secret"]] * 6))), 422),
    "structs": (PARQUET, lambda: packed(holding("home", pa.array([{"part": "own"}] * 6))), 422),
    "maps": (PARQUET, lambda: packed(holding("home", pa.array([[("secret", "own")]] * 6, pa.map_(pa.string(), pa.string())))), 422),
    "70 digits": (ARROW, lambda: streamed(holding("income", pa.array([1] * 6, pa.decimal256(70, 0)))), 200),
    "the largest whole number": (PARQUET, lambda: packed(holding("income", pa.array([2**64 - 1] * 6, pa.uint64()))), 200),
    "half floats that are NaN": (ARROW, lambda: streamed(holding("income", pa.array(np.full(6, np.nan, dtype="float16")))), 200),
    "seconds beyond every calendar": (ARROW, lambda: streamed(holding("since", FAR)), 200),
    "seconds beyond every calendar, many": (ARROW, lambda: streamed(pa.concat_tables([holding("since", FAR)] * 4)), 200),
    "milliseconds before every calendar": (PARQUET, lambda: packed(pa.concat_tables([holding("since", pa.array([-2**62] * 6, pa.timestamp("ms")))] * 4)), 200),
    "months, days and nanoseconds": (ARROW, lambda: streamed(holding("since", pa.array([(1, 2, 3)] * 6, pa.month_day_nano_interval()))), 200),
    "a column twice in a stream": (ARROW, lambda: streamed(TABLE.append_column("home", TABLE["home"])), 422),
    "a column twice in Parquet": (PARQUET, lambda: packed(TABLE.append_column("home", TABLE["home"])), 422),
    "a column twice in CSV": (CSV, lambda: b"income,home,income\n1,own,2\n", 422),
    "50,000 columns in a stream": (ARROW, lambda: streamed(wide(50_000)), 422),
    "50,000 columns in Parquet": (PARQUET, lambda: packed(wide(50_000)), 422),
    "nine million columns in CSV": (CSV, lambda: b"x," * 9_000_000, 422),
    "an index of pandas without end": (PARQUET, lambda: packed(named(pandas='{"index_columns": [{"kind": "range", "start": 0, "stop": 1e99, "step": 0}]}')), 200),
    "a type of pandas that is code": (PARQUET, lambda: packed(named(pandas=json.dumps({"index_columns": ["home"], "column_indexes": [], "columns": [
        {"name": "home", "field_name": "home", "pandas_type": "object", "numpy_type": "__import__('os')", "metadata": None}]}))), 200),
    "a schema in the schema that is none": (PARQUET, lambda: packed(named(**{"ARROW:schema": "AAAA"})), 422),
    "a type that is a pickle": (ARROW, unpickled, 200),
    "a message of negative length": (ARROW, lambda: length(-9), 422),
    "a message of 2 GB": (ARROW, lambda: length(2**31 - 1), 422),
    "a footer of 4 GB": (PARQUET, lambda: footer(2**32 - 1), 422),
    "a footer of nothing": (PARQUET, lambda: footer(0), 422),
    "encrypted": (PARQUET, lambda: packed(TABLE)[:-4] + b"PARE", 422),
    "the magic word alone": (PARQUET, lambda: b"PAR1" * 4, 422),
    "2 million rows in some kilobytes": (PARQUET, lambda: packed(pa.table({name: pa.repeat(TABLE[name][0], 2_000_000) for name in TABLE.column_names})), 422),
    "half a gigabyte in some kilobytes": (PARQUET, lambda: packed(holding("home", pa.array(["x" * 2**27] * 4 + ["own"] * 2, pa.large_string())),
                                                                  compression="zstd", use_dictionary=False), 422),
    "ten million empty lines": (CSV, lambda: b"income,home\n" + b"\n" * 10_000_000, 422),
    "eight million rows of commas": (CSV, lambda: b"income,home\n" + b",\n" * 8_000_000, 422),
    "a quote that is never closed": (CSV, lambda: b'income,home\n1,"' + b"x" * 19_000_000, 422),
    "five million quotes": (CSV, lambda: b'"' * 5_000_000, 422),
    "a megabyte of nothing": (CSV, lambda: b"\0" * 1_000_000, 422)}


@pytest.fixture(scope="module")
def doors():
    "How both frameworks answer a table"
    from fastapi.testclient import TestClient
    twin = create_flask_app(ExampleBundle(), "").test_client()
    with TestClient(create_app(ExampleBundle(), ""), raise_server_exceptions=False) as one:
        yield (lambda kind, body: one.post("/predict/batch", content=body, headers={"content-type": kind}),
               lambda kind, body: twin.post("/predict/batch", data=body, headers={"content-type": kind}))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_table_that_attacks_gets_one_clear_answer_from_either_framework(doors, name):
    kind, made, expected = ATTACKS[name]
    body = made()
    for ask in doors:
        before = time.process_time()
        answer = ask(kind, body)
        assert (answer.status_code, time.process_time() - before < 3) == (expected, True), answer.text[:300]
        assert "secret" not in answer.text
        if expected == 422:
            assert set(json.loads(answer.text)) == {"detail", "problems", "further_problems"}


def test_rows_without_end_end_at_the_limit():
    from fastapi.testclient import TestClient
    client = TestClient(create_app(ExampleBundle(), "", limits=Limits(table_rows=20_000)))
    answer = client.post("/predict/batch", content=endless(), headers={"content-type": ARROW})
    *rows, last = answer.text.splitlines()
    assert answer.status_code == 200 and 0 < len(rows) <= 20_000 and "more than 20,000 rows" in last and "epoch score" in last


def test_a_long_text_is_read_and_forgotten():
    bundle = ExampleBundle()
    from fastapi.testclient import TestClient
    client = TestClient(create_app(bundle, ""))
    for number in range(3):
        assert client.post("/predict", json=example_row(home=f"{number}" * 100_000)).status_code == 200
    cells = client.app.state.doors.service.bundle._plain_cleaner.cells
    assert cells._known and max(len(value) for _, form, value in cells._known if form == "text") <= 200
