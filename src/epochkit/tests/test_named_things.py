"""What a text names is there: commands and options, make targets, files, modules, checks, names of code; and what an agent is told about an epoch."""
import ast
import contextlib
import functools
import importlib.util
import io
import json
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml

from epochkit.cleaning import cleaner
from epochkit.cli import make_parser
from epochkit.core.settings import EPOCHS, load_settings
from epochkit.features import derived
from epochkit.lifecycle.remedies import code_of_check, remedies
from epochkit.project.documentation import registered_checks
from epochkit.project.template import ProjectFacts, project_files

pytestmark = pytest.mark.agents
ROOT = load_settings(env={}).code_root
NEW = project_files(ProjectFacts("churn", "Predicts Churn.", domino=True))  # what epoch new --domino gives


class Text(NamedTuple):
    "A text that people or agents read, and whether it is read in a project of one's own"
    name: str
    text: str
    in_project: bool

    def spans(self) -> list[str]:
        "What stands between backticks"
        return re.findall(r"`([^`\n]+)`", "".join(FENCE.split(self.text)[::3]))

    def lines(self) -> list[str]:
        "Lines of blocks that are typed: `console`, or without a language"
        parts = FENCE.split(self.text)
        blocks = [textwrap.dedent(block) for kind, block in zip(parts[1::3], parts[2::3]) if kind in ("", "console")]
        typed = [line for block in blocks for line in block.splitlines() if line.startswith("$ ") or "\n$ " not in f"\n{block}"]
        return [line.removeprefix("$ ") for line in typed]


FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PAGES = ["README.md", "CONTRIBUTING.md", ".reference/docs/DominoDocumentation.md", "AGENTS.md", "CLAUDE.md", ".claude/agents/*.md", ".claude/skills/*/SKILL.md",
         "docs/**/*.md", "epoch*-*/README.md", "epoch*-*/scripts/README.md"]
TEXTS = [Text(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"), False) for pattern in PAGES for path in sorted(ROOT.glob(pattern))
         if "decisions" not in path.parts]
TEXTS += [Text(f"churn/{name}", content.decode(), True) for name, content in NEW.items() if name.endswith(".md")]
AGENTS = sorted((ROOT / ".claude/agents").glob("*.md"))
SKILLS = sorted((ROOT / ".claude/skills").glob("*/SKILL.md"))
every_text = pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)


# ---- commands and options -------------------------------------------------------------------------------------------------
COMMAND = re.compile(r"\s*(?:\w+=(?:\$\([^)]*\)|\S*) +)*(?:\.venv/bin/)?epoch +(\S.*)")
VALUES = {"N": "1", "M": "1", "WHICH": "next", "VERSION": "1", "D": "api"}


def commands_in(words: str) -> Iterator[list[str]]:
    "The arguments of each `epoch …` in a line, brackets of optional parts left out"
    for part in re.split(r" \| | && |; |  +# |  +\(|\t", words.replace("\\|", "|")):
        if found := COMMAND.match(part):
            with contextlib.suppress(ValueError):
                yield [VALUES.get(word, word) for word in shlex.split(re.sub(r"[\[\]…]|\d?>.*", " ", found[1]), comments=True)]


def subparsers() -> dict:
    return next(iter(make_parser()._subparsers._group_actions)).choices


def trouble_with(arguments: list[str]) -> str:
    "What the parser of `epoch` says against these arguments; a command's bare name is a way to speak of it"
    words = [word for word in arguments if word != "--debug"]
    if not words or not re.fullmatch("[a-z]+", words[0]):
        return ""
    if words[0] not in subparsers():
        return f"there is no command {words[0]}"
    known = subparsers()[words[0]]._option_string_actions
    unknown = [word for word in words[1:] if re.match("--?[a-z]", word) and word.partition("=")[0] not in known]
    if unknown or len(words) == 1:
        return f"{words[0]} has no {unknown[0]}" if unknown else ""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            make_parser().parse_args(words)
    except SystemExit as ended:
        return said.getvalue().splitlines()[-1] if ended.code else ""
    return ""


@every_text
def test_every_command_is_one_that_the_parser_takes(text):
    for words in (*text.spans(), *text.lines()):
        for arguments in commands_in(words):
            assert not trouble_with(arguments), f"{words}: {trouble_with(arguments)}"


@pytest.mark.parametrize("words, trouble", [
    ("epoch fly", "no command"), ("epoch run 3 --fast", "no --fast"), ("epoch run 3 --unatt x", "no --unatt"), ("epoch reject 3", "required"), ("epoch approve", ""),
    ("epoch approve three", "invalid int"), ("epoch run 1 2", "unrecognized"), ("A=1 .venv/bin/epoch runn 3", "no command"), ("epoch --debug status", ""),
    ("epoch run [WHICH] [-p key=value] [--force]", ""), ("epoch status && epoch rum", "no command"), ("cat x | epoch approve 1 --yes", "no --yes")])
def test_a_command_that_is_not_there_is_found(words, trouble):
    told = "".join(map(trouble_with, commands_in(words)))
    assert (trouble in told) and bool(told) == bool(trouble), told


@functools.cache
def known_options() -> set[str]:
    "Options of `epoch`, of the kit's scripts and of its modules"
    mine = {option for parser in subparsers().values() for option in parser._option_string_actions} | {"--debug"}
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").glob("*.py"), *ROOT.glob("epoch*-*/scripts/*.py")]
    given = (found for path in sources for found in re.findall(r"add_argument\(([^)]*)", path.read_text(encoding="utf-8")))
    return mine | {option for words in given for option in re.findall(r'"(--?[a-z][\w-]*)"', words)}


@every_text
def test_every_option_that_stands_alone_is_one(text):
    named = {found[0] for span in text.spans() if (found := re.match(r"--?[a-z][\w-]*(?=$|[ =])", span))}
    assert named <= known_options(), named - known_options()


# ---- make targets and modules ---------------------------------------------------------------------------------------------
def targets(makefile: bytes) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", makefile.decode(), re.MULTILINE))


@every_text
def test_make_has_every_target(text):
    known = targets(NEW["Makefile"]) | (set() if text.in_project else targets((ROOT / "Makefile").read_bytes()))
    named = {target for words in (*text.spans(), *text.lines()) for found in re.findall(r"(?:^|[;&] *)make((?: [A-Z]+=\S+| [a-z][a-z-]*)+)", words)
             for target in found.split() if "=" not in target}
    assert named <= known, named - known


def is_module(name: str) -> bool:
    "Whether a dotted name is a module, or something in one"
    try:
        if importlib.util.find_spec(name):
            return True
    except (ImportError, ValueError):
        pass
    above, _, last = name.rpartition(".")
    return bool(above) and is_module(above) and hasattr(importlib.import_module(above), last)


AREAS = {path.name for path in (ROOT / "src/epochkit").iterdir() if (path / "__init__.py").exists() and path.name != "tests"}


@every_text
def test_every_module_is_there(text):
    for words in (*text.spans(), *text.lines()):
        named = [name for name in re.findall(r"(?:-m |^|[ (,])((?:epochkit|churn|credit_risk)(?:\.\w+)+)", words)]
        named += [found for found in re.findall(r"python -m ([\w.]+)", words) if found != "pip"]
        inside = re.fullmatch(rf"(?:{'|'.join(AREAS)})\.[a-z_]+(?:\.[a-z_]+)*", words) and not re.search(ENDING + "$", words)
        named += [f"epochkit.{words}"] if inside else []
        assert not [name for name in named if not name.startswith("churn.") and not is_module(name)], words


# ---- files ----------------------------------------------------------------------------------------------------------------
ENDING = r"\.(?:ipynb|py|jsonl?|md|toml|csv|parquet|html|png|joblib|ini|lock|ya?ml|sh|txt|db|css|zip)"
# files of a reader's own, as examples: each is named somewhere
EXAMPLES = {"my_brief.toml", "loans.csv", "customers.csv", "scores.csv", "new_rows.csv", "in.csv", "out.csv", "test_naive_bayes.py", "brief.toml", "shop.db",
            "project_brief.N.toml", "bundle-*.joblib", "NN_name.ipynb", "app.sh"}


@functools.cache
def committed() -> list[str]:
    return subprocess.run(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True,
                          check=True).stdout.splitlines()


@functools.cache
def written_names() -> set[str]:
    "File names that code of the kit or of a story gives to what it writes, `{name}.json` with a known name too"
    codes = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py") if "tests" not in path.parts]
    for path in ROOT.glob("epoch*-*/notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        codes += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"])[:1] != "%"]
    texts = set()
    for code in codes:
        with contextlib.suppress(SyntaxError):
            texts |= {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    stems = {text for text in texts if re.fullmatch(r"\w+", text)}
    endings = (".json", ".csv", ".html", ".png", ".md", ".parquet", ".joblib")
    names = {part for text in texts for part in re.split(r"[\s/]", text) if re.search(ENDING + "$", part)}
    return names | {stem + ending for stem in stems for ending in endings}


def is_file(name: str, text: Text) -> bool:
    "Whether a file of this name is in the project or the repository, or is written by an epoch"
    name = re.sub(r"^[a-z]+:", "", name.removeprefix("…/")).replace("<project>", "credit_risk").replace("<package>", "epochkit")
    last = name.rpartition("/")[2]
    if last in EXAMPLES or "NAME" in name or "<" in name or "NN" in name:
        return True
    here = [*NEW, "src/churn/tests/test_data_processing.py", "src/churn/tests/test_feature_engineering.py", "src/churn/tests/test_model_utils.py",
            "epoch001-research-analysis-planning/project_brief.toml", ".epochkit/template.zip"]
    here += [] if text.in_project else committed()
    pattern = re.compile(re.escape(name).replace(r"\*", r"[^/]*") + "$")
    if any(pattern.search(path) and (pattern.search(path).start() == 0 or path[pattern.search(path).start() - 1] == "/") for path in here):
        return True
    written = last in written_names() or "*" in last and any(re.fullmatch(re.escape(last).replace(r"\*", ".*"), one) for one in written_names())
    return written and not re.match(r"(nbs|src|\.claude)/|(.*/)?(scripts|notebooks)/", name)


FOLDERS = {epoch.folder for epoch in EPOCHS}


@every_text
def test_every_file_is_there_or_written_by_an_epoch(text):
    for words in text.spans():
        for name in re.findall(rf"(?:^|[\s\"'=(])((?:[\w.<>*…-]+/)*[\w.*<>-]+{ENDING})(?=$|[\s,;:\"')])", words):
            assert is_file(name, text), name
        assert {*re.findall(r"epoch\d{3}-[\w-]+", words)} <= FOLDERS | {"epoch001-research"}, words


@every_text
def test_every_script_that_is_run_is_there(text):
    for words in (*text.spans(), *text.lines()):
        for name in re.findall(r"python3? ((?:[\w.-]+/)+[\w.-]+\.py)", words):
            assert is_file(name, text), name


def test_no_example_is_listed_that_no_text_names():
    whole = "\n".join(text.text for text in TEXTS)
    assert not [name for name in EXAMPLES if name not in whole]


# ---- checks and names of code ---------------------------------------------------------------------------------------------
@functools.cache
def checks() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for check in registered_checks(load_settings(env={})):
        found.setdefault(check.epoch, []).append(check.name)
    return found


@every_text
def test_every_code_of_a_check_has_its_remedy(text):
    codes = {code for words in (*text.spans(), *text.lines()) for code in re.findall(r"\b00[1-8]/[a-z][a-z-]+", words)}
    assert codes <= {*remedies()}, codes - {*remedies()}


@pytest.mark.parametrize("epoch", EPOCHS, ids=lambda epoch: f"{epoch.number:03d}")
def test_the_readme_of_an_epoch_names_the_checks_of_its_gate(epoch):
    text = (ROOT / epoch.folder / "README.md").read_text(encoding="utf-8").partition("## Gate")[2].partition("\n\n**")[0].partition("\n## ")[0]
    named = {name for name in re.findall(r"`([a-z][A-Za-z ]+)`", text) if " " in name or name in checks()[epoch.number]}
    assert {*checks()[epoch.number]} <= named, {*checks()[epoch.number]} - named


PLATFORM = re.compile("DOMINO_|DASK_|RAY_")  # variables that the platform sets


@functools.cache
def words_of_code() -> set[str]:
    "Every word of the kit's and the project's code, settings and templates, and of the programs that they start"
    paths = [*(ROOT / "src").rglob("*"), *ROOT.glob("epoch*-*/**/*"), *(ROOT / "benchmarks").glob("*"), ROOT / "Makefile", ROOT / "settings.ini",
             ROOT / "pyproject.toml", ROOT / ".claude/settings.json", ROOT / ".gitattributes", ROOT / "nbs/index.ipynb", *(ROOT / "nbs").rglob("*.ipynb")]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths
             if path.is_file() and path.suffix not in (".parquet", ".lock", ".md", ".zip", ".pyc") and path != Path(__file__))
    return {word for text in texts for word in re.findall(r"\w+", text)}


@every_text
def test_every_name_of_code_stands_somewhere_in_code(text):
    for span in text.spans():
        found = re.fullmatch(r"@?([A-Za-z_][\w.]*)(\(.*\))?", span)
        if found and (found[2] or re.search(r"[a-z]_[a-z]|[A-Z]_[A-Z]|[a-z][A-Z]|\w\.\w", found[1])) and not re.search(ENDING + "$", span):
            missing = {part for part in found[1].split(".") if part and not PLATFORM.match(part)} - words_of_code()
            assert not missing, f"{span}: {missing}"


@pytest.mark.parametrize("test, words", [
    (test_every_command_is_one_that_the_parser_takes, "epoch runn 3"), (test_every_command_is_one_that_the_parser_takes, "epoch run 3 --faster"),
    (test_every_option_that_stands_alone_is_one, "--unattend"), (test_make_has_every_target, "make tests"), (test_make_has_every_target, "make env tset"),
    (test_every_module_is_there, "python -m epochkit.project.check settings"), (test_every_module_is_there, "epochkit.serving.monitor"),
    (test_every_module_is_there, "cleaning.parser"), (test_every_file_is_there_or_written_by_an_epoch, "all_model_metrics.json"),
    (test_every_file_is_there_or_written_by_an_epoch, "nbs/core/05_briefs.ipynb"), (test_every_file_is_there_or_written_by_an_epoch, "epoch005-models/x"),
    (test_every_file_is_there_or_written_by_an_epoch, ".claude/guard.py"), (test_every_script_that_is_run_is_there, "python epoch003-exploratory-data-analysis/scripts/audit.py"),
    (test_every_code_of_a_check_has_its_remedy, "005/winner-beats-baseline"), (test_every_name_of_code_stands_somewhere_in_code, "decide_by_clicks()"),
    (test_every_name_of_code_stands_somewhere_in_code, "EPOCH_HOMES")])
def test_a_name_that_is_not_there_is_found_in_any_text(test, words):
    for text in (f"Type `{words}`.", f"```console\n$ {words}\n```\n"):
        if text[0] == "T" or test not in (test_every_option_that_stands_alone_is_one, test_every_file_is_there_or_written_by_an_epoch,
                                          test_every_name_of_code_stands_somewhere_in_code) and "cleaning." not in words:
            with pytest.raises(AssertionError):
                test(Text("a text", text, False))


def test_a_project_has_fewer_targets_and_files_than_the_kit():
    for words, test in (("make demo", test_make_has_every_target), ("nbs/core/05_brief.ipynb", test_every_file_is_there_or_written_by_an_epoch)):
        test(Text("kit", f"`{words}`", False))
        with pytest.raises(AssertionError):
            test(Text("churn", f"`{words}`", True))


# ---- agents and skills ----------------------------------------------------------------------------------------------------
# as the specification of the project says them, one for each epoch; epoch 005 is started by its notebook and its script
SENTENCES = {
    1: "Plan [use case] project with comprehensive requirements analysis", 2: "Generate synthetic [domain] data with [X] features and [Y] rows",
    3: "Perform comprehensive EDA on [dataset] focusing on [target variable]", 4: "Engineer features for [prediction task] using [encoding/scaling strategy]",
    5: "model_training.ipynb", 6: "Run comprehensive testing on [model] including edge cases and robustness",
    7: "Deploy [model] with monitoring, API serving, and interactive dashboard", 8: "Conduct comprehensive retrospective of entire ML lifecycle"}
ROLES = {"Business-Analyst-Agent", "Data-Wrangler-Agent", "Data-Scientist-Agent", "Model-Developer-Agent", "Model-Tester-Agent", "MLOps-Engineer-Agent"}


def head_and_body(path: Path) -> tuple[dict, str]:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def of_epoch(number: int) -> tuple[dict, str]:
    return head_and_body(ROOT / f".claude/skills/epoch{number:03d}/SKILL.md")


def test_each_role_has_its_definition_and_each_epoch_its_skill():
    assert {path.stem for path in AGENTS} == {role.lower() for role in ROLES} | {"retrospective-agent"}
    assert [path.parent.name for path in SKILLS] == [f"epoch{number:03d}" for number in range(1, 9)]
    assert {epoch.agent for epoch in EPOCHS if epoch.number < 8} == ROLES


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_a_definition_says_who_and_leaves_the_what_to_its_skills(path):
    head, body = head_and_body(path)
    assert head["name"] == path.stem and {*head} == {"name", "description", "tools", "model", "skills"}
    assert {*head["tools"].split(", ")} <= {"Read", "Glob", "Grep", "Edit", "Write", "NotebookEdit", "Bash"}
    mine = [f"epoch{epoch.number:03d}" for epoch in EPOCHS if epoch.agent.lower() == path.stem or path.stem == "retrospective-agent" and epoch.number == 8]
    assert head["skills"] == mine and all(skill in body for skill in mine) and "AGENTS.md" in body
    assert re.findall("^## (.*)", body, re.M)[-1] == "You stop" and len(body.splitlines()) < 40
    assert not FENCE.search(body), "commands stand in the skill"


@pytest.mark.parametrize("number", range(1, 9))
def test_a_skill_has_its_trigger_its_parts_and_all_checks_of_its_gate(number):
    (head, body), epoch = of_epoch(number), EPOCHS[number - 1]
    assert head["name"] == f"epoch{number:03d}" and {*head} <= {"name", "description", "argument-hint"} and len(head["description"]) < 1_024
    assert SENTENCES[number] in head["description"]
    assert re.findall("^## (.*)", body, re.M)[0] == "Inputs"
    assert [part for part in re.findall("^## (.*)", body, re.M) if part[:5] not in ("Write", "Add a")] == [
        "Inputs", "Commands", "Outputs", "Gate", "Check before you report", "Never touch", "Report"]
    who = re.search(r"Who works on it: ([a-z-]+)\.", body)[1]
    assert who == ("retrospective-agent" if number == 8 else epoch.agent.lower())
    gate = body.partition("## Gate\n")[2].partition("\n## ")[0]
    assert {*re.findall(r"`([^`]+)`", gate.partition("Checks:")[2])} == {*checks()[number]}
    assert gate.startswith("A person decides." if epoch.human_gate else "No person decides.")
    assert all(f"{code_of_check(number, name)}" in remedies() for name in checks()[number])
    assert f".venv/bin/epoch run {number}\n" in body and (number == 1 or f".venv/bin/epoch context {number} --json" in body)
    assert "epoch approve" not in body and "--unattended" not in body


@pytest.mark.parametrize("number", range(1, 9))
def test_every_parameter_that_a_skill_sets_is_one_of_its_story(number):
    stories = [json.loads(content) for name, content in NEW.items() if name.startswith(EPOCHS[number - 1].folder) and name.endswith(".ipynb")]
    cells = ["".join(cell["source"]) for story in stories for cell in story["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    assert {*re.findall(r"-p (\w+)=", of_epoch(number)[1])} <= {*re.findall(r"^(\w+) = ", "\n".join(cells), re.M)}


def outputs_of(number: int) -> list[str]:
    "The files of the table `Outputs` of a skill, with their folder"
    table = of_epoch(number)[1].partition("## Outputs\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    return [re.search(r"`([^`]+/)`", where)[1] + name for where, names in rows for name in re.findall(r"`([^`]+\.\w+)`", names)]


@pytest.mark.lifecycle
@pytest.mark.parametrize("number", range(1, 9))
def test_every_output_that_a_skill_names_is_there_after_a_run(finished_home, number):
    assert len(outputs_of(number)) > 7
    assert not [name for name in outputs_of(number) if not (finished_home / name).is_file()]


@pytest.mark.parametrize("number, frame", [
    (2, pd.DataFrame({"monthly_charge": [-1.0, 2.0]})), (4, pd.DataFrame({"support_calls": [4.0, 1.0], "months_as_customer": [2.0, 0.0]}))])
def test_the_example_of_a_skill_works(number, frame, monkeypatch):
    "A rule, a feature; the check has a test of its own"
    monkeypatch.setattr(cleaner, "CLEANING_RULES", {})
    monkeypatch.setattr(derived, "DERIVED", {})
    code, = re.findall(r"^```python\n(.*?)^```", of_epoch(number)[1], re.M | re.S)
    names = {"pd": pd, "cleaning_rule": cleaner.cleaning_rule, "derived_feature": derived.derived_feature, "ratio": derived.ratio}
    exec(code, names)
    made = names["charge_of_nobody" if number == 2 else "calls_per_month"](frame)
    assert (made["monthly_charge"] if number == 2 else made).isna().tolist() == ([True, False] if number == 2 else [False, True])


@pytest.mark.parametrize("threshold, result", [(0.5, "pass"), (1.0, "fail")])
def test_the_check_of_the_skill_of_006_can_fail(threshold, result, monkeypatch):
    from epochkit.lifecycle import gates
    monkeypatch.setitem(gates.CHECKS, 6, {})
    code, = re.findall(r"^```python\n(.*?)^```", of_epoch(6)[1], re.M | re.S)
    names = {name: getattr(gates, name) for name in ("gate_check", "GateContext", "CheckResult", "verdict")}
    exec(code, names)

    class Report:
        def json(self, name):
            return {"threshold": threshold}
    assert names["the_threshold_is_not_extreme"](Report()).result == result and [*gates.CHECKS[6]] == ["the threshold is not extreme"]


def test_a_project_gets_the_files_of_this_repository_with_its_own_name():
    for path in (*AGENTS, *SKILLS, ROOT / "AGENTS.md", ROOT / "CLAUDE.md", ROOT / ".claude/settings.json"):
        mine, given = path.read_text(encoding="utf-8"), NEW[path.relative_to(ROOT).as_posix()].decode()
        assert given.strip() == mine.partition("\n## In the kit's own repository")[0].replace("credit_risk", "churn").strip(), path
        assert "docs/" not in given and "epochkit/tests" not in given, "a project has no pages and no tests of the kit"
