"""What stands in benchmarks/README.md is what the results beside it say."""
import json
import shutil
import subprocess
import sys

import pytest
from epochkit.core.settings import load_settings

FOLDER = load_settings(env={}).code_root / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks/ is part of the kit's own repository")


def table(folder, *more):
    return subprocess.run([sys.executable, folder / "table.py", *more], capture_output=True, text=True)


def test_the_table_is_written_from_the_results():
    done = table(FOLDER, "--check")
    assert done.returncode == 0, done.stderr


def test_a_goal_that_is_missed_stands_at_the_top(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "benchmarks")
    found = json.loads((folder / "phase_1.json").read_text())
    name, item = next(iter(found.items()))
    (folder / "phase_1.json").write_text(json.dumps({name: item | {"seconds": 6_543.2}}))
    assert table(folder, "--check").returncode == 1 and table(folder).returncode == 0 == table(folder, "--check").returncode
    behind = (folder / "README.md").read_text().partition("## Where we are behind")[2].partition("\n## ")[0]
    assert "phase 1 with all frameworks: 6,54" in behind and "at most 60 s" in behind
