"""README and guides: links lead somewhere, commands are run or say why not, checks and errors have their remedies."""

import ast
import html.parser
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from epochkit.cli import make_parser
from epochkit.core.brief import Brief
from epochkit.core.errors import BadInputError
from epochkit.core.settings import load_settings
from epochkit.project.documentation import reference_pages, remedies
from epochkit.project.site import FENCE, LINK, gather_site

ROOT = load_settings().code_root
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md",
                                  ".reference/docs/DominoDocumentation.md")]
PAGES += [*GUIDES, *sorted(ROOT.glob("epoch*-*/README.md")), *sorted(ROOT.glob("epoch*-*/scripts/README.md"))]

# Commands that are not run here: how they begin, and why
NOT_RUN = {
    "make demo": "the whole demo: test_lifecycle runs it, test_way_back the tour behind it",
    "make test": "would run this test",
    "make lab": "starts a server that stays: test_browser opens one",
    "make env": "builds an environment, some minutes",
    "make check": "a part of make test",
    "cd ../churn": "the folder that epoch new makes",
    "source .venv/bin/activate": "changes the shell that it is typed in",
    ".venv/bin/epoch new": "makes a project with a wheel: the tests of project.new do",
    "epoch new": "makes a project with a wheel: the tests of project.new do",
    "epoch run next": "executes a notebook: test_runner_epochs does",
    "epoch run \"": "asks for an epoch: test_planning_sentence reads the sentences, test_cli runs one",
    "epoch context": "needs a project that is under way: test_agents walks one",
    "epoch run all": "executes all notebooks: test_lifecycle does",
    "epoch serve": "a server that stays: test_serving_api starts one",
    "epoch app": "a server that stays: test_browser starts one",
    "git add": "writes into the index",
    "epoch score": "needs a table of customers: test_models_scoring and test_cli score one",
    "epoch approve 1": "needs a person",
    "epoch change 4": "needs a person",
    "epoch reject 3": "needs a person",
    "epoch upgrade": "needs another release: the tests of project.upgrade have one",
    "nbdev_export": "writes into the checkout: test_project_export does it in a copy",
    "pip install": "changes the environment",
    "export DB_PASSWORD": "a value for the shell",
    "curl -s 127.0.0.1:8000": "asks that server",
    "git push": "needs a server",
    "epoch monitor": "needs served rows",
    "export EPOCH_ALERTS": "needs a mail server",
    "cp /mnt/artifacts": "a folder of the platform",
}


class Command(NamedTuple):
    "A command of a page, the lines that stand below it there, and why it is not run"
    page: str
    text: str
    shown: tuple[str, ...]
    reason: str


def reason_not_to_run(text: str) -> str:
    return next((reason for start, reason in NOT_RUN.items() if text.startswith(start)), "")


def commands() -> list[Command]:
    "All commands of all pages; one that follows a command that is not run stands on it, and is not run either"
    found = []
    for path in PAGES:
        for block in re.findall(r"^ *```console\n(.*?)^ *```", path.read_text(encoding="utf-8"), re.M | re.S):
            reason = ""
            for part in re.split(r"^\$ ", textwrap.dedent(block), flags=re.M)[1:]:
                text, *shown = part.splitlines()
                reason = reason_not_to_run(text) or reason
                found.append(Command(path.relative_to(ROOT).as_posix(), text, tuple(shown), reason))
    return found


def slug(heading: str) -> str:
    "The anchor of a heading as repositories and the site make it"
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)|`", lambda found: found[1] or "", heading)
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-").strip("-")


def anchors(path: Path) -> set[str]:
    text = "".join(FENCE.split(path.read_text(encoding="utf-8"))[::3])
    return {slug(found) for found in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_and_anchor_leads_somewhere(path):
    text = "".join(FENCE.split(path.read_text(encoding="utf-8"))[::3])
    for _, label, link in LINK.findall(re.sub(r"`[^`\n]*`", "code", text)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"[{label}]({link})"
        known = anchors(target) if target.suffix == ".md" else {anchor}
        assert not anchor or anchor in known, f"[{label}]({link}): {known}"


def test_every_page_of_a_check_and_an_error_is_as_written_from_the_registry():
    settings = load_settings()
    pages = reference_pages(settings)
    there = {path.relative_to(ROOT / "docs").as_posix(): path.read_text(encoding="utf-8")
             for kind in ("checks", "errors") for path in (ROOT / "docs" / kind).rglob("*.md")}
    assert there == pages, "pages and registry differ: make docs, and commit docs/checks and docs/errors"


def test_every_remedy_belongs_to_a_check_or_an_error_and_says_why_and_what():
    pages = reference_pages(load_settings())
    known = {path.removesuffix(".md").replace("checks/", "").replace("errors/", "error/") for path in pages}
    assert not set(remedies()) - known, "remedies of nothing"
    for code, remedy in remedies().items():
        assert set(remedy) <= {"why", "do", "means", "limit"} and len(remedy["why"]) > 30 < len(remedy["do"]), code


def test_a_check_without_a_remedy_is_found(monkeypatch):
    from epochkit.lifecycle import gates
    monkeypatch.setitem(gates.CHECKS[5], "luck", gates.CHECKS[5]["winner beats the baseline"])
    with pytest.raises(BadInputError, match="005/luck has no remedy"):
        reference_pages(load_settings())


def test_every_command_is_run_or_says_why_not():
    starts = [start for start in NOT_RUN if not any(command.text.startswith(start) for command in commands())]
    assert not starts, f"no page has these: {starts}"
    assert sum(not command.reason for command in commands()) > 8


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    "A home with the table that the guides speak of, as a file and in a database"
    home = tmp_path_factory.mktemp("docs") / "home"
    home.mkdir()
    shutil.copy(ROOT / "docs/examples/customers.csv", home)
    with sqlite3.connect(home / "shop.db") as base:
        pd.read_csv(home / "customers.csv").to_sql("customers", base, index=False)
    return home


def printed(text: str, home: Path) -> str:
    "What a command prints, typed in the project"
    where = os.environ | {"EPOCH_HOME": str(home), "EPOCH_PROJECT": str(ROOT), "TMPDIR": str(home.parent),
                          "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", text.replace("sqlite:///shop.db", f"sqlite:///{home}/shop.db")], cwd=ROOT,
                          env=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert "Traceback" not in done.stdout and "No such file" not in done.stdout, f"{text}\n{done.stdout}"
    says_no = done.stdout.startswith(("epoch:", "BadInputError"))
    assert done.returncode in (range(4) if says_no else (0,)), done.stdout
    return done.stdout


def test_commands_print_what_the_guides_show(home):
    mine = [command for command in commands() if not command.reason]
    outputs = {text: printed(text, home) for text in sorted({command.text for command in mine})}
    for command in mine:
        lines = iter(outputs[command.text].splitlines())
        for line in command.shown:
            pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
            assert any(re.fullmatch(pattern, seen.strip()) for seen in lines), (
                f"{command.page}: {command.text} does not print {line!r}, but:\n{outputs[command.text]}")


def test_the_reference_names_every_command():
    known = set(next(iter(make_parser()._subparsers._group_actions)).choices)
    commands_page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert not [name for name in known if f"`epoch {name}" not in commands_page], "commands.md lacks a command"


def test_the_page_of_the_brief_has_every_key_and_no_other():
    text = (ROOT / "docs/reference/brief.md").read_text(encoding="utf-8")
    for section, field in Brief.model_fields.items():
        table = text.partition(f"## `[{section}]`")[2].partition("\n## ")[0]
        named = {key for row in re.findall(r"^\| (`[^|]+) \|", table, re.M) for key in re.findall(r"`(\w+)`", row)}
        assert named == set(field.annotation.model_fields), section


def test_the_readme_is_short_and_every_script_is_in_the_reference():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert not [path for path in ROOT.glob("epoch*-*/scripts/*.py") if path.relative_to(ROOT).as_posix() not in text]


def python_blocks(path: Path) -> list[str]:
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", path.read_text(encoding="utf-8"), re.M | re.S)
    return [textwrap.dedent(block) for _, block in blocks]


@pytest.mark.parametrize("name", ["rule", "feature", "framework", "check"])
def test_the_cells_of_a_guide_work_and_their_asserts_hold(name, tmp_path):
    cells = python_blocks(ROOT / f"docs/guides/{name}.md")
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells), encoding="utf-8")
    assert len(cells) >= 2
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"EPOCH_PROJECT": str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_every_python_and_toml_block_can_be_read():
    for path in PAGES:
        for block in python_blocks(path):
            ast.parse(block)
        for block in re.findall(r"^```toml\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
            for part in block.split("\nsource =")[:1]:
                tomllib.loads(part)


class _Assets(html.parser.HTMLParser):
    "What a page loads by itself: scripts, styles, pictures, frames; a link that one clicks is none"

    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        loads = tag == "link" and given.get("rel") not in ("canonical", "next", "prev")
        address = given.get("src") or (given.get("href") if loads else None) or ""
        if re.match(r"(https?:)?//", address):
            self.found.append(address)


# in the theme's script, for old browsers and for diagrams that no page has
NEVER_ASKED_FOR = {"https://unpkg.com/resize-observer-polyfill", "https://unpkg.com/mermaid@11/dist/mermaid.min.js"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The built site; broken links and anchors stop the build"
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    config = gather_site(load_settings(), folder / "build")
    content = json.loads(config.read_text(encoding="utf-8")) | {"site_dir": str(folder / "site")}
    config.write_text(json.dumps(content), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "-f", str(config)],
                          capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "true"})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_the_site_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        assets = _Assets()
        assets.feed(path.read_text(encoding="utf-8"))
        assert not assets.found, path.relative_to(site)
    for path in site.rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//[^)]*|@import[^;]*//", path.read_text(encoding="utf-8")), path
    hosts = r"https?://[\w.]*(?:unpkg|jsdelivr|googleapis|gstatic|cloudflare|cdn)[^\"'`\s)]*"
    loaded = {found for path in site.rglob("*.js") if "search_index" not in path.name
              for found in re.findall(hosts, path.read_text(encoding="utf-8"))}
    assert loaded <= NEVER_ASKED_FOR and not list(site.rglob("*mermaid*"))


def test_the_search_index_holds_guides_checks_errors_stories_and_the_api(site):
    found = {item["location"].partition("#")[0] for item in
             json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]}
    assert {"guides/my-csv.html", "checks/005/winner-beats-the-baseline.html", "errors/BadInputError.html",
            "stories/004.html", "api/features.html", "epochs/004.html", "project/contributing.html"} <= found
    assert (site / "search/search_index.js").is_file(), "search without a server needs it"


def test_a_page_that_the_list_names_and_nobody_wrote_is_one_clear_line(tmp_path):
    for name in ("mkdocs.yml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path in [*ROOT.glob("epoch*-*/notebooks"), ROOT / "docs"]:
        shutil.copytree(path, tmp_path / path.relative_to(ROOT))
    (tmp_path / "docs/guides/rule.md").unlink()
    with pytest.raises(BadInputError, match="mkdocs.yml names guides/rule.md"):
        gather_site(load_settings().model_copy(update={"code_root": tmp_path}), tmp_path / "build")
    assert not (tmp_path / "build").exists()
