"""Which columns of a table know the answer: python audit_leaks.py file:loans.csv --target Status [--ids id,number]"""

import argparse
import json
import sys

from epochkit.core.brief import DataSection
from epochkit.planning.column_roles import column_roles, infer_task
from epochkit.core.settings import load_settings
from epochkit.sources.catalog import open_source
from epochkit.core.errors import PipelineError, explain
from epochkit.leaks.audit import audit, suspects_table

KINDS = {"numeric": "number", "categorical": "category", "boolean": "category", "high_cardinality": "category", "id": "id"}


def audit_source(spec: str, target: str, ids: list[str], task: str, rows: int) -> dict:
    "The leak audit of the first rows of a source"
    frame = open_source(spec, load_settings(), target).head(rows)
    brief = DataSection(source=spec, target=target, task=task, ids=ids)
    frame = frame[frame[target].notna()].reset_index(drop=True)
    roles = {name: role.role for name, role in column_roles(frame, brief).items() if name != target and name not in ids}
    kinds = {name: KINDS[role] for name, role in roles.items() if role in KINDS}
    kinds = {name: "category" if kind == "number" and frame[name].dtype.kind not in "iufb" else kind for name, kind in kinds.items()}
    return audit(frame, target, kinds, infer_task(frame[target], brief).role != "regression")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="demo:NAME, file:PATH, sql:URL?table=T or sql:URL?query=SELECT ...")
    parser.add_argument("--target", required=True)
    parser.add_argument("--ids", default="", help="columns that are keys, separated by commas: not looked at")
    parser.add_argument("--task", default="auto", choices=["auto", "binary", "multiclass", "regression"])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    given = parser.parse_args()
    try:
        report = audit_source(given.source, given.target, [name for name in given.ids.split(",") if name], given.task, given.rows)
    except PipelineError as error:
        print(explain(error), file=sys.stderr)
        return error.exit_code
    table = suspects_table(report)
    print(json.dumps(report) if given.json else table.to_string(index=False, max_colwidth=None) if len(table) else "no suspects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
