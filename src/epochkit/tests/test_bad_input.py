"""What a user can get wrong ends in one line, exit code 2, and nothing lost."""
import os
import socket

import pytest

from epochkit.tests.conftest import DIABETES_BRIEF, demo_brief, epoch


def run_brief(home, text, *arguments):
    home.mkdir(exist_ok=True)
    (home / "brief.toml").write_text(text, encoding="utf-8")
    return epoch(home, "run", "1", "--brief", str(home / "brief.toml"), *arguments)


def assert_one_line(done, *words):
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stderr[-2000:]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    for word in words:
        assert word in lines[0], lines[0]


def table(home, name, content):
    home.mkdir(exist_ok=True)
    (home / name).write_bytes(content)
    return f'[data]\nsource = "file:{home / name}"\ntarget = "y"\n'


def test_an_unknown_key_suggests_the_near_one(tmp_path):
    assert_one_line(run_brief(tmp_path, DIABETES_BRIEF.replace("target =", "traget =")), "'traget'", "did you mean 'target'")


@pytest.mark.parametrize("name, content, words", [
    ("empty.csv", b"", ("empty.csv", "empty")),
    ("wrong.parquet", b"a,y\n1,2\n", ("wrong.parquet", "Parquet")),
    ("wrong.csv", b"PK\x03\x04" + b"\x00" * 50, ("wrong.csv",)),
    ("one.csv", b"a,y\n" + b"1,good\n2,good\n3,good\n" * 20, ("'y'", "only 'good'", "two different")),
    ("no_target.csv", b"a,z\n1,2\n3,4\n", ("target column 'y'", "no_target.csv")),
])
def test_a_table_that_cannot_be_used(tmp_path, name, content, words):
    assert_one_line(run_brief(tmp_path, table(tmp_path, name, content)), *words)


def test_a_file_that_is_not_there(tmp_path):
    assert_one_line(run_brief(tmp_path, '[data]\nsource = "file:nowhere.csv"\ntarget = "y"'), "nowhere.csv")


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    assert_one_line(epoch(tmp_path / "file" / "home", "run", "1"), "cannot be written", "EPOCH_HOME")


def test_a_missing_package_names_what_to_install(tmp_path, monkeypatch):
    hidden = tmp_path / "hide"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import importlib.util as u\nreal = u.find_spec\n"
                                             "u.find_spec = lambda name, *rest: None if name == 'sqlalchemy' else real(name, *rest)\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden), prepend=os.pathsep)
    done = run_brief(tmp_path / "home", '[data]\nsource = "sql:sqlite:///x.db?table=t"\ntarget = "y"')
    assert_one_line(done, "sqlalchemy", "pip install")


def test_a_port_in_use_is_named():
    from epochkit.core.errors import BadInputError
    from epochkit.serving.server import free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=str(port)):
            free_port(port)


def test_a_different_brief_is_not_replaced_by_accident(tmp_path):
    (tmp_path / "other.toml").write_text(demo_brief())
    (tmp_path / "epoch001-research-analysis-planning").mkdir()
    (tmp_path / "epoch001-research-analysis-planning/project_brief.toml").write_text(DIABETES_BRIEF)
    done = epoch(tmp_path, "run", "1", "--brief", str(tmp_path / "other.toml"))
    assert_one_line(done, "holds a different brief", "--force")
