"""A project that is not as it should be: one clear line, exit code 2, and the record as it was."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epochkit.record.ledger import Ledger
from epochkit.tests.test_edits import notebook, room_text, story_of, write_project

BIN = Path(sys.executable).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    "A small sound project with an event in its record"
    root = tmp_path / "project"
    root.mkdir()
    write_project(root)
    (root / "pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n[tool.nbdev]\nlib_path = "src/own"\nnbs_path = "."\n')
    Ledger(root / ".context").append("note", {"text": "before"})
    return root


def typed(root: Path, *words: str) -> subprocess.CompletedProcess:
    "What somebody types who stands in `root`"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EPOCH_", "DOMINO_"))}
    return subprocess.run([str(BIN / words[0]), *words[1:]], cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def outside(root: Path) -> Path:
    (root / "settings.ini").unlink()
    return root


def without_package(root: Path) -> Path:
    for file in (root / "src" / "own").iterdir():
        file.unlink()
    return root


def broken_package(root: Path) -> Path:
    (root / "src" / "own" / "__init__.py").write_text("import no_such_library\n")
    return root


def room_that_raises(root: Path) -> Path:
    (root / "src" / "own" / "vocabulary.py").write_text(room_text("vocabulary", 1) + "\nRATIO = 1 / 0\n")
    story = json.loads(notebook([("code", "level = 1"), ("code", "from epochkit.lifecycle.run import begin\nrun = begin(1)")]))
    story["cells"] = [cell | {"id": f"cell-{place}"} for place, cell in enumerate(story["cells"])]
    story_of(root, 1).write_text(json.dumps(story))
    return root


def room_with_a_slip(root: Path) -> Path:
    path = root / "src" / "own" / "data_processing_utils.py"
    path.write_text(path.read_text() + "\ndef (:\n")
    return root


def newer_project(root: Path) -> Path:
    (root / "settings.ini").write_text(re.sub(r"kit_defaults = .*", "kit_defaults = 9.9", (root / "settings.ini").read_text()))
    return root


def merge_marks(root: Path) -> Path:
    story_of(root, 2).write_text('{"cells": [\n<<<<<<< HEAD\n')
    return root


def two_stories(root: Path) -> Path:
    story_of(root, 2).with_name("draft.ipynb").write_text(story_of(root, 2).read_text())
    return root


WRONGS = [
    (outside, ("epoch", "status"), ("no project here", "EPOCH_PROJECT")),
    (outside, ("nbdev_export",), ("no project here",)),
    (without_package, ("epoch", "status"), ("src/own", "run 'nbdev_export'")),
    (broken_package, ("epoch", "run", "1"), ("package own cannot be imported", "no_such_library", "__init__.py, line 1")),
    (room_that_raises, ("epoch", "run", "1"), ("vocabulary.py (epoch 001) cannot be imported", "division by zero",
                                               "mend vocabulary.ipynb")),
    (room_with_a_slip, ("epoch", "status"), ("data_processing_utils.py, line", "is not Python")),
    (newer_project, ("epoch", "status"), ("epochkit 9.9", "pip install -U epochkit")),
    (merge_marks, ("epoch", "run", "2"), ("002_story.ipynb has merge marks in line 2",)),
    (merge_marks, ("nbdev_export",), ("002_story.ipynb has merge marks in line 2",)),
    (two_stories, ("epoch", "run", "2"), ("holds 2 stories (002_story.ipynb, draft.ipynb)",)),
]


@pytest.mark.parametrize("spoil, words, said", [pytest.param(*item, id=f"{item[0].__name__}: {' '.join(item[1])}") for item in WRONGS])
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_done(project: Path, spoil, words, said):
    root = spoil(project)
    before = (root / ".context" / "ledger.jsonl").read_bytes()
    done = typed(root, *words)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert all(word in lines[0] for word in said), lines[0]
    assert (root / ".context" / "ledger.jsonl").read_bytes() == before


def test_two_rooms_of_one_name_stop_the_export_before_it_writes(project: Path):
    for number in (4, 5):
        path = story_of(project, number).with_name(f"twice{number}.ipynb")
        path.write_text(notebook([("code", "#| default_exp twice"), ("code", "#| export\nx = 1")]))
    before = {path: path.read_bytes() for path in (project / "src").rglob("*.py")}
    done = typed(project, "nbdev_export")
    assert done.returncode == 2 and "two notebooks export the module twice" in done.stderr and "twice4.ipynb" in done.stderr
    assert {path: path.read_bytes() for path in (project / "src").rglob("*.py")} == before


def test_a_sound_project_is_no_problem(project: Path):
    assert typed(project, "epoch", "status").returncode == 0
