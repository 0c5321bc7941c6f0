"""What macOS or Windows lacks is not needed on import, has a fallback that says so, and leaves names and texts alone."""
import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import epochkit
from epochkit.core import files
from epochkit.core.memory_guard import run_limited

PACKAGE = Path(epochkit.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if "tests" not in path.relative_to(PACKAGE).parts]
LACKING = ("resource", "fcntl", "termios", "tty", "pwd", "grp")

# The libraries below are this system's own builds and may use what is blocked for the kit: they are loaded first.
BLOCKED = f"""
import sys, subprocess, selectors, tempfile, threading, multiprocessing, asyncio, getpass, shutil, pathlib, sysconfig
import psutil, cloudpickle
sysconfig.get_config_vars()
for name in {LACKING}:
    sys.modules[name] = None
"""
WINDOWS = BLOCKED + """
import os
for name in ("killpg", "getuid", "getpgrp", "fork", "sysconf"):
    delattr(os, name)
sys.platform = "win32"
"""


def on_a_system(preamble: str, code: str, tmp_path: Path) -> subprocess.CompletedProcess:
    "What `code` prints where it, and every Python that it starts, runs after `preamble`"
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(preamble, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(PACKAGE.parent)])}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300)


def test_every_module_can_be_imported_without_what_posix_has(tmp_path):
    names = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "epochkit.") if ".tests" not in module.name]
    done = on_a_system(BLOCKED, f"import importlib\nfor name in {names}:\n    importlib.import_module(name)\nprint('all')",
                       tmp_path)
    assert done.stdout.split() == ["all"] and len(names) > 100, done.stderr


STEP = """
import logging, sys, time
logging.basicConfig(format="%(message)s")
from epochkit.core.errors import PipelineError
from epochkit.core.memory_guard import limit_this_process, memory_is_enforced, run_limited
def grow():
    held = []
    for _ in range(200):
        held.append(bytearray(b"x" * 2**23)); time.sleep(0.05)
def small(n):
    print("at work", file=sys.stderr)
    return n + 1
def wrong():
    raise ValueError("no such column")
print(memory_is_enforced(), limit_this_process(1), run_limited(small, 1, limit_mb=300), run_limited(small, 2, limit_mb=300))
for step in (grow, wrong):
    try:
        run_limited(step, limit_mb=300, label="filling")
    except (PipelineError, ValueError) as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("preamble", [BLOCKED, WINDOWS], ids=["without modules", "as on Windows"])
def test_a_step_above_its_limit_is_ended_by_sampling_and_the_run_says_so_once(tmp_path, preamble):
    done = on_a_system(preamble, STEP, tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == "False inf 2 3", done.stderr
    assert lines[1].startswith("ResourceLimitError filling used too much memory") and "the limit is 300 MB" in lines[1]
    assert lines[2] == "ValueError no such column"
    assert done.stderr.count("enforces no memory limit on a process: memory is watched by sampling") == 1
    assert done.stderr.count("at work") == 2


@pytest.mark.parametrize("preamble", [BLOCKED, WINDOWS], ids=["without modules", "as on Windows"])
def test_a_step_ends_with_its_parent_there_too(tmp_path, preamble):
    import time

    import psutil
    code = ("import os, sys, time\nfrom epochkit.core.memory_guard import run_limited\ndef step():\n"
            f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n    time.sleep(100)\n"
            "import threading; threading.Timer(4, lambda: os._exit(1)).start()\nrun_limited(step, limit_mb=300)")
    on_a_system(preamble, code, tmp_path)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_on_linux_nothing_is_said(capfd):
    run_limited(len, [1], limit_mb=400)
    assert "sampling" not in capfd.readouterr().err


LEDGER = """
import sys
from pathlib import Path
from epochkit.record.ledger import Ledger, current_user
from epochkit.core.files import write_json
from epochkit.lifecycle.facts import peak_memory_mb, resources_used
ledger = Ledger(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("record"))
with ledger.locked():
    try:
        with Ledger(ledger.folder, wait_s=0.1).locked():
            print("twice")
    except Exception as error:
        print(type(error).__name__, "locked" in str(error))
ledger.append("note", {"text": "a"})
print(len(ledger.events()), peak_memory_mb() > 1, resources_used(1, 2)["cpu_seconds"] >= 0)
write_json(Path("a.json"), {"a": 1})
print(Path("a.json").read_bytes())
"""


@pytest.mark.parametrize("preamble", [BLOCKED, WINDOWS], ids=["without modules", "as on Windows"])
def test_the_record_is_locked_and_written_without_posix(tmp_path, monkeypatch, preamble):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER", "somebody")
    preamble = preamble.replace('sys.platform = "win32"', "")  # filelock would look for Windows' own calls
    done = on_a_system(preamble, LEDGER, tmp_path)  # Windows has its own lock; here filelock's soft one stands in
    assert done.stdout.splitlines() == ["RecordError True", "2 True True", "b'{\\n  \"a\": 1\\n}\\n'"], done.stderr


def test_a_user_without_a_name_and_a_number_has_a_word(monkeypatch):
    from epochkit.record import ledger

    def nobody():
        raise ImportError("no pwd")
    monkeypatch.setattr(ledger, "getuser", nobody)
    for name in ("DOMINO_STARTING_USERNAME", "DOMINO_USER_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delattr(os, "getuid")
    assert ledger.current_user() == "unknown user"


def test_folders_are_not_synced_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.os, "open", lambda *_: pytest.fail("a folder was opened"))
    files.sync_folder(tmp_path)


# ------------------------------------------------------------------------------------------- what the code may not do
POSIX_ONLY = {"os": {"killpg", "getuid", "geteuid", "getgid", "getpgrp", "setsid", "fork", "sysconf", "mkfifo", "symlink"},
              "signal": {"SIGKILL", "SIGHUP", "SIGBUS", "SIGUSR1", "SIGALRM", "alarm", "setitimer"}}


def functions(tree: ast.Module) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_what_only_posix_has_is_asked_for_before_it_is_used(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    assert not set(top) & set(LACKING), f"{path.name} imports it at the top"
    for node in functions(tree):
        code = ast.unparse(node)
        asked = re.search(r"hasattr\((os|signal)|except \(?ImportError|sys\.platform|memory_is_enforced\(\)", code)
        used = [f"{found.value.id}.{found.attr}" for found in ast.walk(node) if isinstance(found, ast.Attribute)
                and isinstance(found.value, ast.Name) and found.attr in POSIX_ONLY.get(found.value.id, ())]
        blocked = [alias.name for found in ast.walk(node) if isinstance(found, ast.Import) for alias in found.names
                   if alias.name in LACKING]
        assert not (used or blocked) or asked, f"{node.name} uses {used + blocked} unasked"


def text_calls(tree: ast.Module):
    "Calls that open, read or write text: (line, name, is writing, given keywords, mode)"
    for node in ast.walk(tree):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        owner = ast.unparse(node.func.value) if name and isinstance(node.func, ast.Attribute) else ""
        if name not in ("open", "read_text", "write_text", "fdopen") or owner in ("self", "run", "archive") or (owner, name) == ("os", "open") or \
                "ZipFile" in owner or owner in ("gzip", "bz2", "lzma") or name == "write_text" and not owner:
            continue
        place = node.args[0 if owner and name == "open" else 1:][:1] if name in ("open", "fdopen") else []
        given = [*place, *(k.value for k in node.keywords if k.arg == "mode")]
        mode = next((word.value for word in given if isinstance(word, ast.Constant)), "r")
        if "b" not in mode:
            yield node.lineno, name, name == "write_text" or set(mode) & set("wax"), {k.arg for k in node.keywords}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_text_has_an_encoding_and_written_text_its_line_ends(path):
    for line, name, writes, given in text_calls(ast.parse(path.read_text(encoding="utf-8"))):
        assert "encoding" in given, f"{path.name}:{line} {name} without encoding="
        assert not writes or "newline" in given, f"{path.name}:{line} {name} writes text without newline="


def test_the_scan_finds_what_it_looks_for():
    bad = ast.parse("Path('a').read_text()\nopen('b', 'w', encoding='utf-8')\nopen('c', 'rb')\nx.open('a')\nx.open(mode='rb')")
    found = list(text_calls(bad))
    assert [(line, "encoding" in given, bool(writes)) for line, _, writes, given in found] == [
        (1, False, False), (2, True, True), (4, False, True)]


RESERVED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


def test_the_files_of_the_repository_and_of_a_record_have_names_that_windows_takes(tmp_path):
    from epochkit.core.settings import EPOCHS
    from epochkit.record.ledger import Ledger
    Ledger(tmp_path / "record").append("note", {})
    root = PACKAGE.parent.parent
    kept = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True).stdout.splitlines()
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    names = [part for path in [*kept, *written, *(epoch.folder for epoch in EPOCHS)] for part in path.split("/")]
    assert not [name for name in names if RESERVED.search(name)]
    assert len({path.lower() for path in kept}) == len(kept), "two files differ in upper and lower case only"
