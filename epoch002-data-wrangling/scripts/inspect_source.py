"""What a data source holds, before a brief is written for it: python inspect_source.py file:loans.csv [--target Status]"""

import argparse
import sys

import pandas as pd

from epochkit.core.settings import load_settings
from epochkit.cleaning.cleaner import Cleaner, profile_kinds
from epochkit.sources.catalog import open_source
from epochkit.core.errors import PipelineError, explain


def describe_columns(spec: str, target: str | None, chunk_rows: int) -> pd.DataFrame:
    "One row per column: the kind the cleaning would give it, missing share after the standard steps, distinct values, an example"
    source = open_source(spec, load_settings(), target)
    kinds = profile_kinds(source.chunks(chunk_rows))
    table, _ = Cleaner(kinds).clean(source.head(chunk_rows))
    return pd.DataFrame({"kind": pd.Series(kinds), "missing": table.isna().mean().round(4), "distinct": table.nunique(),
                         "example": pd.Series({name: str(next(iter(table[name].dropna()), "")) for name in table})})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="demo:NAME, file:PATH, sql:URL?table=T or sql:URL?query=SELECT ...")
    parser.add_argument("--target", help="check that this column exists")
    parser.add_argument("--rows", type=int, default=10_000, help="rows for the shares, counts and examples (kinds use all rows)")
    arguments = parser.parse_args()
    try:
        print(describe_columns(arguments.source, arguments.target, arguments.rows).to_string())
    except PipelineError as error:
        print(explain(error), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
