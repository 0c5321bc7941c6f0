"""What a brief means for its data, before epoch 001 records a plan: python check_brief.py [my_brief.toml]"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from epochkit.core.brief import brief_path, parse_brief
from epochkit.core.settings import load_settings
from epochkit.sources.catalog import open_source
from epochkit.core.errors import BadInputError, PipelineError, explain
from epochkit.planning.plan import Plan, make_plan


def plan_of(path: Path | None) -> Plan:
    "The plan that this brief, or the project's own, would give; nothing is written"
    settings = load_settings()
    path = path or brief_path(settings)
    if not path.is_file():
        raise BadInputError(f"there is no brief at {path}: give the path of a TOML file")
    brief = parse_brief(path.read_text(encoding="utf-8"), path.name)
    return make_plan(brief, open_source(brief.data.source, settings, target=brief.data.target), settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("brief", nargs="?", type=Path, help="a TOML file (default: the project's brief)")
    try:
        plan = plan_of(parser.parse_args().brief)
    except PipelineError as error:
        print(explain(error), file=sys.stderr)
        return error.exit_code
    roles = pd.DataFrame(plan.columns).T
    print(roles.assign(feature=[name in plan.feature_columns for name in roles.index]).to_string())
    print(f"\n{plan.profile['rows']:,} rows; task {plan.data.task}: {plan.data.task_reason}; positive class: {plan.data.positive or 'none'}; "
          f"metric {plan.metric.primary}, minimum {plan.metric.minimum}; split {plan.split.strategy}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
