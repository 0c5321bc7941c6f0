"""`epoch upgrade` of whole projects: twenty edits, random edits, and everything that can stop it on the way."""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest

import epochkit
from epochkit.core.errors import BadInputError
from epochkit.core.settings import load_settings
from epochkit.project import upgrade
from epochkit.project.merge import merge_notebooks, notebook_bytes
from epochkit.project.upgrade import TEMPLATE, UNFINISHED, read_base, upgrade_project, write_base

SERIES = ".".join(epochkit.__version__.split(".")[:2])

ROOT = load_settings(env={}).code_root
STORIES = sorted(path for path in ROOT.glob("epoch00*/notebooks/*.ipynb") if path.name[:3].isdigit() or path.name == "model_training.ipynb")
KIT = [path.relative_to(ROOT).as_posix() for path in STORIES]
INI = "[DEFAULT]\nlib_name = churn\nlib_path = src/churn\n\n[limits]\n# in GB\nmemory_gb = 12\nfile_mb = 50\n\n[gates]\nkit_defaults = 0.1\n"
MAKEFILE = "env:\n\tpip install .\n\nlab:\n\tjupyter lab\n\ntest:\n\tpytest\n\ncheck:\n\truff check\n"
README = "# Churn\n\nWho leaves, and why.\n\n## Start\nmake env\n\n## Help\nAsk us.\n"
ROOM = "epoch004-feature-engineering/notebooks/own_features.ipynb"


def code(text, key=None):
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": text.splitlines(keepends=True)}
    return cell | ({"id": key} if key else {})


def markdown(text, key):
    return {"cell_type": "markdown", "id": key, "metadata": {}, "source": text.splitlines(keepends=True)}


def source(cell):
    return "".join(cell["source"])


def new_notebook(*cells):
    return notebook_bytes({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def old_files():
    "What the release before gave: the real stories, a room, and the texts"
    room = new_notebook(markdown("# Own features", "room-0"), code("#| export\nimport pandas as pd", "room-1"), code("#| export\ndef age(frame):\n    return frame", "room-2"))
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in STORIES}
    return files | {ROOM: room, "Makefile": MAKEFILE.encode(), "README.md": README.encode(), "settings.ini": INI.encode(),
                    ".gitignore": b".venv/\ndata/\n", ".github/workflows/check.yml": b"on: push\njobs: {}\n", "AGENTS.md": b"# Agents\n"}


def newer_cells(cells, rng, edits=1):
    "The cells of the next release: some edited, one added, one deleted, one moved; and the ids of what it touched"
    cells, touched = json.loads(json.dumps(cells)), set()
    free = [cell for cell in cells[3:-2] if not cell["metadata"].get("tags")]
    chosen = rng.sample(free, edits + 2)
    for cell in chosen[:edits]:
        cell["source"] = ["# the kit's new first line\n", *cell["source"]]
        touched.add(cell["id"])
    cells.remove(chosen[edits])
    cells.remove(chosen[edits + 1])
    touched |= {chosen[edits]["id"], chosen[edits + 1]["id"]}
    cells.insert(rng.randrange(3, len(cells) - 2), chosen[edits + 1])
    cells.insert(rng.randrange(3, len(cells) - 2), code("new_of_the_kit()", f"kit-{rng.randrange(10**6)}"))
    return cells, touched


def newer_files(old, rng):
    "What the next release gives"
    new, touched = dict(old), {}
    for path in KIT:
        notebook = json.loads(old[path])
        notebook["cells"], touched[path] = newer_cells(notebook["cells"], rng, edits=3)
        new[path] = notebook_bytes(notebook)
    new["Makefile"] = old["Makefile"].replace(b"jupyter lab", b"epoch lab")
    new["README.md"] = old["README.md"].replace(b"make env", b"make env lab")
    new["settings.ini"] = (INI.replace("memory_gb = 12", "memory_gb = 16").replace("0.1", "0.2") + "require_signatures = false\n").encode()
    new[".gitattributes"] = b"*.ipynb filter=nbstripout\n"
    del new["AGENTS.md"]
    return new, touched


def put(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def git(root, *arguments):
    subprocess.run(["git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments], check=True, capture_output=True)


def commit(root):
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "mine")


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A project of the release before, committed"
    monkeypatch.delenv("EPOCH_HOME", raising=False)
    monkeypatch.setattr(upgrade, "_new_checks", lambda *_: [])
    root, old = tmp_path / "churn", old_files()
    put(root, old | {"src/churn/__init__.py": b""})
    monkeypatch.setattr(epochkit, "__version__", "0.1.0")
    write_base(root / TEMPLATE, old)
    monkeypatch.undo()
    monkeypatch.delenv("EPOCH_HOME", raising=False)
    monkeypatch.setattr(upgrade, "_new_checks", lambda *_: [])
    git(tmp_path, "init", "-q", "churn")
    commit(root)
    return root


def tree_hash(root):
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and ".git" not in path.relative_to(root).parts:
            digest.update(f"{path.relative_to(root)} {path.stat().st_mode} ".encode() + path.read_bytes())
    return digest.hexdigest()


class Person:
    "Edits notebooks of a project as a person would, away from what the kit touches, and remembers what must be there afterwards"

    def __init__(self, root, touched, rng):
        self.root, self.touched, self.rng, self.kept, self.edited_ids = root, touched, rng, [], []

    def on(self, number, edit):
        path = self.root / KIT[number]
        notebook = json.loads(path.read_bytes())
        edit(notebook["cells"], self.pick(notebook["cells"], KIT[number]))
        path.write_bytes(notebook_bytes(notebook))
        self.kept += [(KIT[number], source(cell)) for cell in notebook["cells"] if source(cell).startswith(("mine", "# mine"))]

    def pick(self, cells, path):
        return self.rng.choice([place for place, cell in enumerate(cells) if place > 2 and cell["cell_type"] == "code" and cell.get("id") not in self.touched[path]
                                and not source(cell).startswith(("mine", "# mine")) and source(cell).count("\n") > 0])


def add(cells, place):
    cells.insert(place + 1, code(f"mine = {place}", "user-added"))


def edit(cells, place):
    cells[place]["source"] = ["# mine, edited\n", *cells[place]["source"]]


def delete(cells, place):
    del cells[place]


def move(cells, place):
    cells.insert(3, cells.pop(place))


def cut_and_paste(cells, place):
    cells.insert(4, {**cells.pop(place), "id": "pasted-new-id"})


def split(cells, place):
    "As JupyterLab does: the first part is a new cell above, the last keeps the id"
    lines = cells[place]["source"]
    half = len(lines) // 2 or 1
    cells.insert(place, code("".join(lines[:half]).rstrip("\n"), "split-part"))
    cells[place + 1]["source"] = lines[half:]


def paste_a_copy(cells, place):
    cells.append({**cells[place], "source": ["# mine, a copy with the same id\n", *cells[place]["source"]]})


def tag(cells, place):
    cells[place]["metadata"]["tags"] = ["skip-this"]


def run(cells, place):
    for number, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        cell["execution_count"], cell["outputs"] = number + 1, [{"name": "stdout", "output_type": "stream", "text": ["ran\n"]}]


def edit_text(cells, place):
    cells.insert(2, markdown("# mine: why we do this", "user-words"))


def lose_ids(cells, place):
    for cell in cells:
        cell.pop("id", None)
    cells.append(code("mine_without_id()"))


def fold(cells, place):
    cells[place]["metadata"]["jupyter"] = {"source_hidden": True}


NOTEBOOK_EDITS = [(0, add), (0, edit), (1, delete), (1, add), (2, move), (2, edit_text), (3, split), (3, tag), (4, paste_a_copy), (4, run), (5, lose_ids),
                  (6, cut_and_paste), (6, edit), (7, fold)]


def edit_files(root):
    "Six edits outside of the stories"
    def change(path, old, new):
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))
    change("README.md", "Who leaves, and why.", "Which customers leave us, and why.")
    change("Makefile", "ruff check", "ruff check .\n\nmine:\n\techo mine")
    change("settings.ini", "# in GB\nmemory_gb = 12\nfile_mb = 50", "# in GB\nmemory_gb = 12\nfile_mb = 40")
    (root / ".github/workflows/check.yml").unlink()
    put(root, {"nbs/00_mine.ipynb": new_notebook(code("mine()", "m"))})
    room = json.loads((root / ROOM).read_bytes())
    room["cells"].append(code("#| export\ndef mine(frame):\n    return frame", "mine"))
    (root / ROOM).write_bytes(notebook_bytes(room))


def checked(content):
    "The cells of a notebook that nbformat finds valid, every id once"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nbformat.validate(json.loads(content))
    cells = json.loads(content)["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    return cells


@pytest.mark.parametrize("seed", range(5))
def test_twenty_edits_survive_and_nothing_conflicts_that_only_one_side_changed(project, seed):
    rng = random.Random(seed)
    new, touched = newer_files(old_files(), rng)
    person = Person(project, touched, rng)
    for number, edit_one in NOTEBOOK_EDITS:
        person.on(number, edit_one)
    edit_files(project)
    before = {path: json.loads((project / path).read_bytes())["cells"] for path in (*KIT, ROOM)}
    own = (project / "nbs/00_mine.ipynb").read_bytes()
    commit(project)
    said = []
    assert upgrade_project(project, new, False, said.append) == 0
    assert not (project / ".epochkit/conflicts").exists() and "conflict" not in "\n".join(said)
    for path in (*KIT, ROOM):
        texts = [source(cell) for cell in checked((project / path).read_bytes())] if path != ROOM else [source(cell) for cell in before[ROOM]]
        base = {source(cell) for cell in json.loads(old_files()[path])["cells"]}
        assert [text for text in map(source, before[path]) if text not in base and text not in texts] == []
        wanted = {source(cell) for cell in json.loads(new[path])["cells"]} - base
        assert wanted <= set(texts), path
    assert len(person.kept) >= 8 and all(text in [source(cell) for cell in json.loads((project / path).read_bytes())["cells"]] for path, text in person.kept)
    ran = json.loads((project / KIT[4]).read_bytes())["cells"]
    assert sum(bool(cell.get("outputs")) for cell in ran) > len([cell for cell in ran if cell["cell_type"] == "code"]) - 6
    assert "Which customers" in (project / "README.md").read_text() and "make env lab" in (project / "README.md").read_text()
    makefile = (project / "Makefile").read_text()
    assert "epoch lab" in makefile and "mine:\n\techo mine" in makefile
    ini = (project / "settings.ini").read_text()
    assert "memory_gb = 16\nfile_mb = 40" in ini and "kit_defaults = 0.1\nrequire_signatures = false" in ini
    assert not (project / ".github/workflows/check.yml").exists() and not (project / "AGENTS.md").exists()
    assert (project / ".gitattributes").read_bytes() == new[".gitattributes"] and (project / "nbs/00_mine.ipynb").read_bytes() == own
    assert read_base(project) == (epochkit.__version__, new) and said[-1].startswith("Next: git diff")
    commit(project)
    again, tree = [], tree_hash(project)
    assert upgrade_project(project, new, False, again.append) == 0 and again[-1] == "Nothing to do" and tree_hash(project) == tree


def random_edits(cells, rng, who, number):
    "Some edits of one side, all cells told apart by text"
    for step in range(number):
        place, kind = rng.randrange(len(cells)), rng.choice(("add", "edit", "delete", "move", "copy", "new id", "line", "split"))
        text = f"{who}_{step}_{rng.randrange(10**6)}()"
        if kind == "add":
            cells.insert(place, code(text, f"{who}-{step}") if rng.random() < 0.7 else code(text, f"{who}-{step}"))
        elif kind == "edit":
            cells[place]["source"] = [text]
        elif kind == "line":
            cells[place]["source"] = [*cells[place]["source"], "\n" + text]
        elif kind == "delete" and len(cells) > 3:
            del cells[place]
        elif kind == "move":
            cells.insert(rng.randrange(len(cells)), cells.pop(place))
        elif who == "user" and kind == "copy":
            cells.insert(rng.randrange(len(cells)), {**json.loads(json.dumps(cells[place])), "source": [text]})
        elif who == "user" and kind == "new id":
            cells[place].pop("id", None) if rng.random() < 0.5 else cells[place].update(id=f"user-new-{step}")
        elif who == "user" and kind == "split":
            cells.insert(place, code(text, f"user-split-{step}"))
    return cells


def unchanged(base_cells, cells):
    "Ids of the cells that one side left as they were, wherever they stand now"
    texts = [(cell.get("id"), source(cell)) for cell in cells]
    return {cell["id"] for cell in base_cells if (cell["id"], source(cell)) in texts}


@pytest.mark.parametrize("seed", range(300))
def test_random_edits_lose_no_cell_of_the_user(seed):
    rng = random.Random(seed)
    cells = [code(f"base_{number} = {number}\nmiddle_{number}\nend_{number}", f"base-{number}") for number in range(rng.randint(3, 9))]
    base = new_notebook(*cells)
    ours_cells = random_edits(json.loads(base)["cells"], rng, "user", rng.randint(0, 8))
    theirs_cells = random_edits(json.loads(base)["cells"], rng, "kit", rng.randint(0, 6))
    ours, theirs = new_notebook(*ours_cells), new_notebook(*theirs_cells)
    assert merge_notebooks(base, ours, base).content == ours
    assert merge_notebooks(base, base, theirs).content == theirs
    merged = merge_notebooks(base, ours, theirs)
    if merged.content != ours:
        checked(merged.content)
    texts = [source(cell) for cell in json.loads(merged.content)["cells"]]
    known = {source(cell) for cell in cells}
    for text in (source(cell) for cell in ours_cells if source(cell) not in known):
        assert text in texts or any(set(text.split("\n")) & {line for line in text.split("\n") if "user_" in line} <= set(other.split("\n")) for other in texts), text
    assert len(texts) >= len([cell for cell in ours_cells if source(cell) not in known])
    for place in {conflict.place for conflict in merged.conflicts}:
        assert place not in unchanged(cells, ours_cells) and place not in unchanged(cells, theirs_cells)
    shown = " ".join([*texts, *(conflict.kit for conflict in merged.conflicts)])
    for text in (source(cell) for cell in theirs_cells if source(cell) not in known):
        assert all(line in shown for line in text.split("\n") if "kit_" in line), text
    again = merge_notebooks(theirs, merged.content, theirs)
    assert again.content == merged.content and again.conflicts == []


def test_both_sides_changed_one_cell_and_the_kits_version_lies_beside(project):
    old, path = old_files(), KIT[0]
    mine, newer = json.loads(old[path]), json.loads(old[path])
    mine["cells"][4]["source"], newer["cells"][4]["source"] = ["mine()"], ["kit()"]
    newer["cells"][9]["source"] = ["kit_elsewhere()"]
    put(project, {path: notebook_bytes(mine), "Makefile": MAKEFILE.replace("pytest", "pytest -q").encode(), ".gitattributes": b"mine\n"})
    commit(project)
    new = old | {path: notebook_bytes(newer), "Makefile": MAKEFILE.replace("pytest", "pytest -x").encode(), ".gitattributes": b"kit\n"}
    said = []
    upgrade_project(project, new, False, said.append)
    texts = [source(cell) for cell in json.loads((project / path).read_bytes())["cells"]]
    assert texts[4] == "mine()" and texts[9] == "kit_elsewhere()"
    beside = project / ".epochkit/conflicts" / epochkit.__version__
    assert (beside / path).read_bytes() == new[path] and (beside / "Makefile").read_bytes() == new["Makefile"]
    assert "pytest -q" in (project / "Makefile").read_text() and (project / ".gitattributes").read_bytes() == b"mine\n"
    text = "\n".join(said)
    assert f"merged, except {mine['cells'][4]['id']}" in text and "git diff --no-index Makefile .epochkit/conflicts" in text
    assert "3 conflict" in said[0]
    commit(project)
    assert upgrade_project(project, new, False, said.append) == 0 and said[-1] == "Nothing to do"


def test_a_dry_run_writes_nothing_and_works_on_a_dirty_tree(project):
    new, _ = newer_files(old_files(), random.Random(1))
    (project / "README.md").write_text("mine\n")
    before, said = tree_hash(project), []
    assert upgrade_project(project, new, True, said.append) == 0
    assert tree_hash(project) == before and said[-1] == "Nothing was written: this was a dry run"
    assert "[limits] memory_gb = 16 (was 12): taken over" in "\n".join(said) and "replaced  Makefile" in "\n".join(said)


def refused(root, new, *words):
    before = tree_hash(root)
    with pytest.raises(BadInputError) as error:
        upgrade_project(root, new, False, lambda line: None)
    assert error.value.exit_code == 2 and "\n" not in str(error.value) and tree_hash(root) == before
    assert all(word in str(error.value) for word in words), str(error.value)


def test_bad_input_is_one_line_and_writes_nothing(project, monkeypatch):
    new, _ = newer_files(old_files(), random.Random(1))
    (project / "README.md").write_text("mine\n")
    (project / "notes.txt").write_text("not followed, in no danger")
    refused(project, new, "README.md is not committed", "git commit")
    git(project, "checkout", "--", "README.md")
    (project / ".gitattributes").write_text("mine, and nobody committed it")
    refused(project, new, ".gitattributes is not committed")
    (project / ".gitattributes").unlink()
    (project / KIT[2]).write_text('{"cells": [')
    commit(project)
    refused(project, new, Path(KIT[2]).name, "is no notebook")
    git(project, "reset", "-q", "--hard", "HEAD~1")
    (project / "Makefile").chmod(0o444)
    git(project, "-c", "core.fileMode=false", "status")
    refused(project, new, "Makefile is read-only", "chmod u+w")
    (project / "Makefile").chmod(0o644)
    monkeypatch.setattr(epochkit, "__version__", "0.0.9")
    refused(project, new, "installed is the older 0.0.9", "pip install -U epochkit")
    monkeypatch.undo()
    shutil.rmtree(project / ".git")
    refused(project, new, "no git repository with a commit", "git init")
    (project / TEMPLATE).write_bytes(b"PK")
    refused(project, new, "template.zip is damaged")
    (project / TEMPLATE).unlink()
    refused(project, new, "has no .epochkit/template.zip")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    refused(project, new, "needs git")


def test_a_link_and_a_folder_in_the_way_stay(project, tmp_path):
    new, _ = newer_files(old_files(), random.Random(1))
    (tmp_path / "shared.mk").write_text(MAKEFILE)
    (project / "Makefile").unlink()
    (project / "Makefile").symlink_to(tmp_path / "shared.mk")
    commit(project)
    said = []
    upgrade_project(project, new, False, said.append)
    assert (project / "Makefile").is_symlink() and (tmp_path / "shared.mk").read_text() == MAKEFILE
    assert "Makefile is a link" in "\n".join(said)
    commit(project)
    (project / "docs").mkdir()
    refused(project, new | {"docs": b"x"}, "docs is a folder")


def test_a_failure_on_the_way_puts_everything_back(project, monkeypatch):
    new, _ = newer_files(old_files(), random.Random(1))
    (project / "Makefile").chmod(0o755)
    commit(project)
    write, calls = upgrade.write_bytes, []

    def failing(path, content):
        calls.append(path)
        if len(calls) == 6:
            raise OSError(28, "No space left on device")
        return write(path, content)
    monkeypatch.setattr(upgrade, "write_bytes", failing)
    refused(project, new, "No space left on device", "every file is as it was")
    monkeypatch.setattr(upgrade, "write_bytes", write)
    assert not (project / UNFINISHED).exists() and upgrade_project(project, new, False, lambda line: None) == 0
    assert (project / "Makefile").stat().st_mode & 0o777 == 0o755


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from epochkit.project import upgrade
root, given, last = Path(sys.argv[1]), pickle.load(open(sys.argv[2], "rb")), int(sys.argv[3])
replace, done = os.replace, []
def counted(*names):
    if len(done) == last: os.kill(os.getpid(), signal.SIGKILL)
    done.append(names); return replace(*names)
os.replace = counted
upgrade._new_checks = lambda *_: []
upgrade.upgrade_project(root, given, False)
"""


@pytest.mark.parametrize("last", [0, 1, 5, 11])
def test_killed_on_the_way_every_file_is_old_or_new_and_the_next_run_finishes(project, tmp_path, last):
    import pickle
    old = old_files()
    new, _ = newer_files(old, random.Random(1))
    (tmp_path / "given.pickle").write_bytes(pickle.dumps(new))
    done = subprocess.run([sys.executable, "-c", KILLED, str(project), str(tmp_path / "given.pickle"), str(last)], capture_output=True, text=True,
                          env={**os.environ, "EPOCH_PROJECT": str(project)})
    assert done.returncode == -9, done.stderr
    for path in old.keys() | new.keys():
        now = (project / path).read_bytes() if (project / path).exists() else None
        assert path == "settings.ini" or now in (old.get(path), new.get(path)), path
    said = []
    assert (project / UNFINISHED).exists() == (last > 0)
    if last > 1:
        edited = (project / KIT[0]).read_bytes()
        (project / KIT[0]).write_bytes(edited + b"\n")
        with pytest.raises(BadInputError, match="was edited after an upgrade was interrupted"):
            upgrade_project(project, new, False, said.append)
        (project / KIT[0]).write_bytes(edited)
    assert upgrade_project(project, new, False, said.append) == 0
    assert all((project / path).read_bytes() == content for path, content in new.items() if path != "settings.ini")
    assert not [path for path in project.rglob("*.part")] and not (project / UNFINISHED).exists()
    assert read_base(project).files == new and ("interrupted" in said[0]) == (last > 0) and said[-1].startswith("Next")


def test_a_new_check_is_measured_on_what_the_project_recorded(project, monkeypatch):
    from epochkit.core.files import write_json
    from epochkit.lifecycle.gates import CHECKS, gate_check, verdict
    from epochkit.record.ledger import Ledger
    monkeypatch.undo()
    monkeypatch.delenv("EPOCH_HOME", raising=False)
    for place in ("epochkit.project.upgrade.load_checks", "epochkit.lifecycle.gates.load_checks"):
        monkeypatch.setattr(place, lambda settings, epoch: None)
    for epoch in range(1, 9):
        monkeypatch.setitem(CHECKS, epoch, {})
    settings = load_settings(env={"EPOCH_PROJECT": str(project)})
    report = write_json(settings.artifacts(5) / "scores.json", {"error": 0.12})
    Ledger(settings.context_root).append("epoch_finished", {"outputs": {settings.relative(report): {}}}, epoch=5)
    for epoch in (5, 6):
        gate_check(epoch, "old")(lambda context: verdict(True, 1, 1))
        gate_check(epoch, "small error", since="0.2")(lambda context: verdict(context.json("scores.json")["error"] < 0.1, context.json("scores.json")["error"], 0.1))
    gate_check(5, "has scores", since="0.2")(lambda context: verdict(bool(context.json("scores.json")), "scores", "any"))
    (project / "README.md").write_text("mine\n")
    before, said = tree_hash(project), []
    assert upgrade_project(project, old_files(), True, said.append) == 0 and tree_hash(project) == before
    assert [line.strip() for line in said if "(since" in line] == [
        "005 small error (since 0.2): would fail: observed 0.12, limit 0.1; the gate passes without it",
        "005 has scores (since 0.2): passes: observed scores, limit any", "006 small error (since 0.2): not measured, epoch 6 has not run"]
    assert f"kit_defaults = {SERIES}" in said[-2] and "kit_defaults = 0.1" in (project / "settings.ini").read_text()
    monkeypatch.setattr("epochkit.project.upgrade.load_checks", lambda settings, epoch: 1 / 0)
    assert upgrade_project(project, old_files(), True, said.append) == 0
    assert len([line for line in said if "not measured, ZeroDivisionError" in line]) == 1
