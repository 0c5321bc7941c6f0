"""An agent does the whole lifecycle by the command line and stops five times; what it tries in order to get past a gate does not work.

The agent is a script: it marks its process as coding agents do, reads `status` and `context`, runs what is due, and stops at exit code 3.
Each decision is a person's, played at a pseudo-terminal. More attempts are tested where they belong: `ATTEMPTS_ELSEWHERE` in conftest
names them, and `make test-agents` runs them too. docs/guides/approvals.md has the whole list.
"""
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from epochkit.core.errors import BadInputError, PipelineError, RecordError, WaitingForReviewError
from epochkit.core.settings import EPOCHS, Settings, load_settings
from epochkit.lifecycle.state import project_state
from epochkit.lifecycle.verify import check_record
from epochkit.record.actors import AGENT_VARIABLES
from epochkit.record.events import GENESIS, latest, seal
from epochkit.record.ledger import Head, Ledger
from epochkit.record.views import write_views
from epochkit.review.decisions import REVIEW, decide_by_click, decide_unattended, record_decision
from epochkit.review.terminal import review
from epochkit.tests.conftest import ATTEMPTS_ELSEWHERE, DIABETES_BRIEF, EPOCH, ROOT
from epochkit.tests.person import at_terminal, yes_to

pytestmark = [pytest.mark.agents, pytest.mark.lifecycle]
AGENT = {"CLAUDECODE": "1"}
GATES = [item.number for item in EPOCHS if item.human_gate]
ASK = {"decision": "approved", "reviewer": "Ada", "criteria": REVIEW[1], "comment": "all is well"}
BRIEF = f"{DIABETES_BRIEF.replace('tuning_trials = 4', 'tuning_trials = 1')}fit_seconds = 1\n"


class Ran(NamedTuple):
    "Exit code of a command, its document and the events that it told on stderr"
    code: int
    document: dict[str, Any]
    events: list[dict[str, Any]]


def by_agent(home: Path, *arguments: str) -> Ran:
    "Runs `epoch … --json` as an agent does; whatever is no JSON fails here"
    done = subprocess.run([*EPOCH, *arguments, "--json"], env={**os.environ, **AGENT, "EPOCH_HOME": str(home)},
                          capture_output=True, text=True, timeout=600, cwd=ROOT, stdin=subprocess.DEVNULL)
    events = [json.loads(line) for line in done.stderr.splitlines()] if arguments[0] == "run" else []
    return Ran(done.returncode, json.loads(done.stdout), events)


class Walk(NamedTuple):
    "A home that an agent took to its end, what it read on the way, and a copy from when the first gate was waiting"
    home: Path
    waiting: Path
    runs: list[Ran]
    contexts: dict[int, dict[str, Any]]
    stops: list[int]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    home = tmp_path_factory.mktemp("walk") / "home"
    home.mkdir()
    waiting, runs, contexts, stops = home.with_name("waiting"), [], {}, []
    (home / "brief.toml").write_text(BRIEF, encoding="utf-8")
    runs.append(by_agent(home, "run", "1", "--brief", str(home / "brief.toml")))
    for _ in range(20):
        rows = runs[-1].document["epochs"]
        due = next((row for row in rows if row["state"] != "done"), None)
        if due is None:
            return Walk(home, waiting, runs, contexts, stops)
        if due["state"] == "awaiting review":  # the agent stops here, and a person comes
            stops.append(due["epoch"])
            assert runs[-1].code == 3, runs[-1].document["error"]
            if not waiting.exists():
                shutil.copytree(home, waiting)
            shown = at_terminal(home, "approve", str(due["epoch"]), answers=yes_to(due["epoch"]))
            assert shown.code == 0, shown.text[-3_000:]
            rows = by_agent(home, "status").document["epochs"]
            due = next(row for row in rows if row["state"] != "done")
        context = by_agent(home, "context", str(due["epoch"]))
        assert context.code == 0, context.document["lacks"]
        contexts[due["epoch"]] = context.document
        runs.append(by_agent(home, "run", "next"))
        assert runs[-1].code in (0, 3), runs[-1].document["error"]
    raise AssertionError(f"the walk does not end: {rows}")


# ---- the walk


def test_the_agent_stops_five_times_and_reaches_the_end(walk):
    assert walk.stops == GATES == [1, 3, 4, 6, 7]
    assert [run.code for run in walk.runs] == [3, 0, 3, 3, 0, 3, 3, 0]
    assert {state.state for state in project_state(load_settings(home=walk.home))} == {"done"}


def test_what_the_agent_ran_and_what_the_person_decided_is_marked(walk):
    events = Ledger(walk.home / ".context").events()
    assert {event.actor_kind for event in events if event.kind in ("epoch_started", "epoch_finished")} == {"agent"}
    decisions = [event for event in events if event.kind == "decision"]
    assert [(event.epoch, event.actor_kind, event.data["decision"]) for event in decisions] == [
        (gate, "person", "approved") for gate in GATES]
    report = check_record(load_settings(home=walk.home))
    assert report.problems == [] and any("run by an agent" in text for text in report.notices)
    lessons = (walk.home / EPOCHS[7].folder / "lessons_learned/business_analysis.md").read_text(encoding="utf-8")
    assert "run by an agent · approved by a person" in lessons
    status = subprocess.run([*EPOCH, "status"], env={**os.environ, "EPOCH_HOME": str(walk.home)}, capture_output=True,
                            text=True, cwd=ROOT).stdout
    assert status.count("run by an agent") == 8


def test_a_run_tells_its_progress_and_ends_with_one_document(walk):
    for run in walk.runs:
        kinds = [event["event"] for event in run.events]
        progress = [event for event in run.events if event["event"] == "progress"]
        assert kinds[0] == "started" and len(progress) > 5 and progress[-1]["percent"] > 80, kinds
        assert {"epoch", "cell", "cells", "percent", "label", "memory_mb", "seconds", "left_s"} <= set(progress[0])
        came_to, = run.document["ran"]
        assert run.document["exit_code"] == run.code and came_to["seconds"] > 0 and run.document["next"]
        assert came_to["state"] == ("done" if run.code == 0 else "awaiting review")
        checks = came_to["gate"]["checks"]
        assert checks and came_to["gate"]["passed"] and all(
            {"code", "name", "result", "observed", "limit", "page"} <= set(check) for check in checks)


def test_every_check_that_the_gates_showed_has_a_page(walk):
    shown = {(check["code"], check["page"]) for run in walk.runs for item in run.document["ran"]
             for check in item["gate"]["checks"]}
    kit = {(code, page) for code, page in shown if page}
    assert len(kit) > 50 and not [page for _, page in kit if not (ROOT / "docs" / page).is_file()]
    own = {code for code, page in shown if not page}
    codes = json.loads(subprocess.run([*EPOCH, "explain", "--json"], capture_output=True, text=True, cwd=ROOT).stdout)
    assert own <= set(codes["codes"])


def test_the_context_says_all_that_the_next_epoch_asks_for(walk):
    """Every input that an epoch took through the record was in the context that the agent had read"""
    events = Ledger(walk.home / ".context").events()
    for number, context in walk.contexts.items():
        told = {file["recorded"]: file["sha256"] for epoch in context["epochs"] for file in epoch["files"]}
        finished = latest(events, number, "epoch_finished")
        taken = {path: sha256 for path, sha256 in finished.data["inputs"].items() if "epoch00" in path
                 and "project_brief" not in path and "schema.toml" not in path}
        assert {path: told.get(path) for path in taken} == taken, number
    assert walk.contexts[8]["epochs"][5]["metrics"][-1]["of"] == "the tested model on the sealed rows"
    assert [item["actor_kind"] for item in walk.contexts[8]["epochs"][0]["decisions"]] == ["person"]
    assert walk.contexts[5]["open_questions"] and walk.contexts[6]["criteria"]


def test_no_context_before_006_leads_to_the_test_rows(walk):
    for number in range(2, 7):
        files = [file for epoch in walk.contexts[number]["epochs"] for file in epoch["files"]]
        assert not [file for file in files if "test_data" in file.get("path", "")]
        assert all("note" in file for file in files if file["name"] in ("test_data.parquet", "data.parquet"))
    assert [file for epoch in walk.contexts[7]["epochs"] for file in epoch["files"] if "test_data" in file.get("path", "")]


def test_an_mcp_client_reads_the_record_over_stdio_and_runs(walk, tmp_path):
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters
    home, heard = tmp_path / "home", []
    shutil.copytree(walk.waiting, home)
    there = {name: value for name, value in os.environ.items() if name in ("EPOCH_PROJECT", "PATH", "PYTHONPATH")}

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async def talk() -> dict[str, Any]:
        server = StdioServerParameters(command=EPOCH[0], args=["mcp"], env={**there, "EPOCH_HOME": str(home)}, cwd=ROOT)
        async with Client(server, read_timeout_seconds=300) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            calls = {"status": {}, "context": {"epoch": 2}, "findings": {"epoch": 1}, "verify": {},
                     "explain": {"code": "001/criteria-can-be-measured"}, "trace": {"what": "project_plan.json"}}
            answers = {name: (await client.call_tool(name, given)).structured_content for name, given in calls.items()}
            run = await client.call_tool("run", {"which": "1", "force": True}, progress_callback=hear)
            return {"names": names, **answers, "run": run.structured_content,
                    "approve": (await client.call_tool("approve", {"epoch": 1})).is_error}

    told = asyncio.run(talk())
    assert told["names"] == {"status", "context", "findings", "verify", "trace", "explain", "run"} and told["approve"]
    assert told["status"]["epochs"][0]["state"] == "awaiting review" and told["verify"]["problems"] == []
    assert told["context"]["exit_code"] == 3 and not told["context"]["ready"] and told["findings"]["findings"]
    assert "What to do" in told["explain"]["page"] and told["trace"]["exit_code"] == 0
    assert told["run"]["exit_code"] == 3 and len(heard) > 5
    finished = latest(Ledger(home / ".context").events(), 1, "epoch_finished")
    assert finished.actor_kind == "agent" and not Ledger(home / ".context").events("decision")


# ---- twenty attempts to get past a gate


@pytest.fixture
def home(walk, tmp_path):
    "The home as it was when the first gate was waiting, for one attempt"
    shutil.copytree(walk.waiting, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def marked(monkeypatch):
    "This process is an agent's"
    monkeypatch.setenv("CLAUDECODE", "1")


def gate_1(home: Path) -> str:
    return project_state(load_settings(home=home))[0].state


def last_refusal(home: Path) -> tuple[str, str]:
    event = Ledger(home / ".context").events()[-1]
    return event.kind, event.actor_kind


@pytest.mark.parametrize("command", [("approve", "1"), ("approve", "1", "--waive", "risks are assessed=an agent says so"),
                                     ("change", "1"), ("reject", "1", "--to", "1")])
def test_a_pseudo_terminal_of_an_agent_is_refused_and_recorded(home, command):
    shown = at_terminal(home, *command, answers=yes_to(1), env=AGENT)
    lines = [line for line in shown.text.splitlines() if line.startswith("epoch: ")]
    assert shown.code == 2 and len(lines) == 1 and "an agent (CLAUDECODE is set)" in lines[0]
    assert last_refusal(home) == ("decision_refused", "agent") and gate_1(home) == "awaiting review"


def test_answers_from_a_pipe_are_refused(home):
    done = subprocess.run([*EPOCH, "approve", "1"], input="\n".join(yes_to(1)), capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, "EPOCH_HOME": str(home)})
    assert done.returncode == 2 and "a pipe or a program" in done.stderr and gate_1(home) == "awaiting review"


@pytest.mark.parametrize("name", AGENT_VARIABLES)
def test_no_mark_is_outdone_by_the_claim_to_be_a_person(home, name):
    settings = load_settings(home=home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, "1")
        patch.setenv("EPOCH_ACTOR_KIND", "person")
        with pytest.raises(BadInputError, match=f"an agent \\({name} is set\\)"):
            record_decision(settings, 1, **ASK, provenance="terminal")
    assert last_refusal(home) == ("decision_refused", "agent") and gate_1(home) == "awaiting review"


def test_a_patched_terminal_with_invented_answers_is_refused(home, marked, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    answers = iter(yes_to(1))
    with pytest.raises(BadInputError, match="an agent"):
        review(load_settings(home=home), 1, "approved", ask=lambda question: next(answers), tell=str)
    monkeypatch.setattr("epochkit.review.terminal.check_terminal", lambda *_: None)
    with pytest.raises(BadInputError, match="an agent"):
        review(load_settings(home=home), 1, "approved", ask=lambda question: next(answers), tell=str)
    assert gate_1(home) == "awaiting review"


def test_a_forged_click_is_refused_whether_it_is_recognised_or_not(home, marked, monkeypatch):
    settings = load_settings(home=home)
    with pytest.raises(BadInputError, match="not from a click"):
        decide_by_click(settings, 1, object(), **ASK)
    monkeypatch.setattr("epochkit.review.decisions.click_refusal", lambda button: "")
    with pytest.raises(BadInputError, match="an agent"):
        decide_by_click(settings, 1, object(), **ASK)
    assert gate_1(home) == "awaiting review"


def test_unattended_is_refused_where_the_project_does_not_allow_it(home, marked, monkeypatch):
    settings = load_settings(home=home)
    for strict in ({"unattended_by_agents": False}, {"require_signatures": True}):
        with pytest.raises(WaitingForReviewError):
            decide_unattended(settings.model_copy(update={"unattended_by_agents": True} | strict), 1, "it would be quick")
    assert gate_1(home) == "awaiting review"
    monkeypatch.delenv("CLAUDECODE")
    record_decision(settings, 1, "changes requested", "Ada", "the target is wrong")
    monkeypatch.setenv("CLAUDECODE", "1")
    by_agent(home, "run", "1", "--force")
    assert by_agent(home, "run", "1", "--unattended", "it would be quick").code == 3, "a person sent it back"
    assert gate_1(home) == "awaiting review"


def test_unattended_is_marked_wherever_it_is_allowed(home):
    done = by_agent(home, "run", "1", "--unattended", "asked for by Ada")
    event = Ledger(home / ".context").events("decision")[-1]
    assert done.code == 0 and (event.data["decision"], event.actor_kind) == ("unattended", "agent")
    assert done.document["ran"][0]["gate"]["decision"] == "unattended"


def test_a_decision_written_past_the_library_is_found_and_opens_nothing(home, marked):
    settings = load_settings(home=home)
    finished = latest(Ledger(settings.context_root).events(), 1, "epoch_finished")
    evidence = [{"path": path, "sha256": finished.data["outputs"][path]["sha256"]} for path in finished.data["evidence"]]
    data = {**ASK, "gate": 1, "evidence": evidence, "checks": [], "waivers": {}, "provenance": "terminal"}
    Ledger(settings.context_root).append("decision", data, epoch=1)
    write_views(Ledger(settings.context_root))
    report = check_record(settings)
    assert report.exit_code == 4 and [problem.kind for problem in report.problems] == ["decision"]
    assert gate_1(home) == "awaiting review" and by_agent(home, "run", "2").code == 3


def test_an_edited_ledger_is_found_with_its_line(home):
    settings = load_settings(home=home)
    with pytest.raises(BadInputError), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLAUDECODE", "1")
        record_decision(settings, 1, **ASK)
    path = Ledger(settings.context_root).path
    path.write_bytes(path.read_bytes().replace(b'"kind":"decision_refused"', b'"kind":"decision"'))
    assert [problem.kind for problem in check_record(settings).problems] == ["chain"]
    with pytest.raises(RecordError, match="was changed after it was written"):
        project_state(settings)


def rewritten(settings: Settings, events: list) -> None:
    "Puts a whole new chain in the place of the record, with a head that fits"
    last, lines = GENESIS, []
    for number, event in enumerate(events, 1):
        sealed = seal(number, event.time, event.kind, event.epoch, event.actor, event.data, last, event.actor_kind)
        last = sealed.hash
        fields = {name: value for name, value in sealed._asdict().items() if value != ""}
        lines.append((json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode())
    ledger = Ledger(settings.context_root)
    ledger.path.write_bytes(b"".join(lines))
    (settings.context_root / "ledger.head").write_bytes(Head(len(lines), last, len(b"".join(lines))).line())


def test_a_record_rewritten_without_the_marks_does_not_fit_its_views(home):
    settings = load_settings(home=home)
    events = Ledger(settings.context_root).events()
    rewritten(settings, [event._replace(actor_kind="person") for event in events])
    assert len(Ledger(settings.context_root).events()) == len(events), "the new chain is sound in itself"
    assert {problem.kind for problem in check_record(settings).problems} == {"view"}


@pytest.mark.parametrize("name, old, new", [("pipeline_state.json", '"decision": null', '"decision": "approved"'),
                                            ("approval_log.json", '"decisions": []', '"decisions": [{"gate": 1}]')])
def test_an_edited_view_opens_nothing_and_is_found(home, name, old, new):
    settings = load_settings(home=home)
    path = settings.context_root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert [problem.kind for problem in check_record(settings).problems] == ["view"]
    assert gate_1(home) == "awaiting review" and by_agent(home, "run", "2").code == 3
    assert path.read_text(encoding="utf-8").count(new) == 0, "what happens next draws the view anew"


def test_evidence_that_is_replaced_after_the_decision_shuts_the_gate_again(home):
    assert at_terminal(home, "approve", "1", answers=yes_to(1)).code == 0 and gate_1(home) == "done"
    plan = home / EPOCHS[0].folder / "project_plan.json"
    plan.write_text(plan.read_text(encoding="utf-8").replace('"minimum": 70', '"minimum": 700'), encoding="utf-8")
    assert "evidence" in {problem.kind for problem in check_record(load_settings(home=home)).problems}
    assert gate_1(home) == "stale" and by_agent(home, "run", "2").code == 4


def test_a_lower_limit_in_the_handed_over_criteria_stops_what_comes_after(home):
    criteria = home / EPOCHS[0].folder / "success_criteria.json"
    criteria.write_text(re.sub(r'"limit": 70(?:\.0)?', '"limit": 700', criteria.read_text(encoding="utf-8")), encoding="utf-8")
    shown = at_terminal(home, "approve", "1", answers=yes_to(1))
    assert shown.code != 0 and "changed since epoch 001" in shown.text and gate_1(home) == "stale"


def test_a_key_of_ones_own_does_not_count_where_signatures_are_required(home, tmp_path, monkeypatch):
    for name in ("ada", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "allowed").write_text(f"ada {(tmp_path / 'ada.pub').read_text()}")
    settings = load_settings(home=home).model_copy(update={"require_signatures": True,
                                                           "allowed_signers": str(tmp_path / "allowed")})
    monkeypatch.setenv("EPOCH_SIGNING_KEY", str(tmp_path / "own"))
    with pytest.raises(RecordError, match="not signed by anyone"):  # without the mark that an agent takes off
        record_decision(settings, 1, **ASK, provenance="terminal")
    monkeypatch.delenv("EPOCH_SIGNING_KEY")
    with pytest.raises(BadInputError, match="wants signed decisions"):
        record_decision(settings, 1, **ASK, provenance="terminal")
    record_decision(load_settings(home=home), 1, **ASK, provenance="terminal")
    assert project_state(settings)[0].state == "awaiting review"
    assert "signature" in {problem.kind for problem in check_record(settings).problems}


def test_a_direct_call_without_a_mark_is_told_by_verify(home):
    """What no library can stop: a process that takes its mark off. Python code that decides is a notice, and signatures stop it"""
    settings = load_settings(home=home)
    record_decision(settings, 1, **ASK)
    assert any("came from Python code" in text for text in check_record(settings).notices)


def test_a_terminal_without_a_mark_looks_like_a_person_and_the_guide_says_so(home):
    shown = at_terminal(home, "approve", "1", answers=yes_to(1), env=dict.fromkeys(AGENT_VARIABLES, ""))
    assert shown.code == 0 and Ledger(home / ".context").events("decision")[-1].actor_kind == "person"
    guide = (ROOT / "docs/guides/approvals.md").read_text(encoding="utf-8").partition("## What they cannot stop")[2]
    assert "takes its mark off" in guide and "require_signatures" in guide


def test_a_gate_whose_checks_fail_is_not_passed_over_by_anybody(home, marked, monkeypatch):
    settings = load_settings(home=home)
    from epochkit.lifecycle import gates
    gates.load_checks(settings, 1)
    monkeypatch.setitem(gates.CHECKS[1], "bad luck", lambda context: gates.verdict(False, 0, 1))
    for decide in (lambda: decide_unattended(settings.model_copy(update={"unattended_by_agents": True}), 1, "quick"),
                   lambda: record_decision(settings, 1, **ASK, waivers={"bad luck": "an agent waives it"})):
        with pytest.raises(PipelineError, match="bad luck|an agent"):
            decide()
    assert gate_1(home) == "awaiting review"


def test_every_attempt_that_is_tested_elsewhere_is_there_and_in_the_guide():
    tests, guide = Path(__file__).parent, (ROOT / "docs/guides/approvals.md").read_text(encoding="utf-8")
    for place in ATTEMPTS_ELSEWHERE:
        file, _, name = place.partition("::")
        assert f"def {name}(" in (tests / file).read_text(encoding="utf-8"), place
    rows = re.findall(r"^\| \d+ \|", guide, re.M)
    assert len(rows) >= 20
