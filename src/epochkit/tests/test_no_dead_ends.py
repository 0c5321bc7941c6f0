"""Every check of gates 006 and 007 that fails has a way on, through the doors that a person uses: terminal and panel."""
import io
import sys
from html import unescape
from types import SimpleNamespace

import pytest

from epochkit import cli
from epochkit.core.brief import parse_brief
from epochkit.core.files import write_json, write_text
from epochkit.core.settings import load_settings
from epochkit.lifecycle import gates, tracking
from epochkit.lifecycle.gates import CheckResult, gate_check, load_checks, verdict
from epochkit.lifecycle.remedies import code_of_check, remedies
from epochkit.lifecycle.run import begin
from epochkit.lifecycle.state import next_step, project_state
from epochkit.lifecycle.verify import check_record
from epochkit.planning.plan import make_criteria, make_plan
from epochkit.record.ledger import Ledger
from epochkit.review import decisions, terminal
from epochkit.review.card import gate_html
from epochkit.review.decisions import REVIEW, record_decision
from epochkit.review.panel import ApprovalPanel
from epochkit.serving.deployment import validated_version
from epochkit.sources.catalog import open_source
from epochkit.validation.gate import promote_if_passed

for number in range(1, 9):
    load_checks(load_settings(env={}), number)
REAL = {number: {name: check for name, check in gates.CHECKS[number].items() if check.__module__.startswith("epochkit.")}
        for number in (5, 6, 7)}
CAUSES = [(number, name) for number in (6, 7) for name in REAL[number]]
STAGES = {6: "Staging", 7: "Production"}
ECHOES = {6: "the model is in its stage", 7: "model is in Production"}
WHY = "a pilot for ten people, agreed in May"


class Registry:
    "As much of MLflow's registry as stages need, in memory"

    def __init__(self):
        self.tags, self.aliases, self.away = {"3": {}}, {}, False

    def get_model_version_by_alias(self, name, alias):
        from mlflow.exceptions import MlflowException
        if alias not in self.aliases:
            raise MlflowException("no such alias")
        return SimpleNamespace(version=self.aliases[alias])

    def set_model_version_tag(self, name, version, key, value):
        if self.away:
            raise ConnectionError("the registry is away")
        self.tags[version][key] = value

    def get_model_version(self, name, version):
        return SimpleNamespace(tags=self.tags[version], aliases=[key for key, held in self.aliases.items() if held == version])

    def delete_registered_model_alias(self, name, alias):
        del self.aliases[alias]

    def set_registered_model_alias(self, name, alias, version):
        self.aliases[alias] = version

    def transition_model_version_stage(self, name, version, stage):
        self.tags[version]["stage"] = stage


@pytest.fixture(scope="module")
def plan():
    settings = load_settings(env={})
    return make_plan(parse_brief('[data]\nsource = "demo:credit"\ntarget = "Status"\npositive = "bad"'),
                     open_source("demo:credit", settings), settings)


@pytest.fixture
def project(tmp_path, monkeypatch, plan):
    "Settings and registry of a project whose epochs 001 to 005 are done"
    registry = Registry()
    monkeypatch.setenv("EPOCH_HOME", str(tmp_path))
    monkeypatch.setattr(gates, "CHECKS", {})
    monkeypatch.setattr(gates, "load_rooms", lambda *_: None)
    monkeypatch.setattr(tracking, "tracking_client", lambda settings: registry)
    monkeypatch.setattr(tracking, "version_anchors", lambda settings: [])
    monkeypatch.setattr(decisions, "click_refusal", lambda button: "")
    monkeypatch.setattr(terminal, "check_terminal", lambda *_: None)
    settings = load_settings(home=tmp_path, env={})
    for number in (1, 2, 3, 4, 5, 8):
        gate_check(number, "goal")(lambda context: verdict(True, 1, 1))
    for number in range(1, 6):
        run = begin(number, settings)
        if number == 5:
            run.record("model_registered", {"model": "example", "version": "3", "run_id": "r"})
        if number == 1:
            run.output(write_json(run.folder / "project_plan.json", plan.model_dump()))
            run.output(write_json(run.folder / "success_criteria.json", {"criteria": make_criteria(plan)}))
        run.finish()
        if number in REVIEW:
            record_decision(settings, number, "approved", "ada", criteria=REVIEW[number])
    return settings, registry


def run_epoch(settings, number, failing=""):
    "Runs 006 or 007 as its story does, with the kit's checks: `failing` fails, and with it what follows from it"
    for name, check in REAL[number].items():
        real = name == ECHOES[number] and name != failing
        planted = check if real else lambda context, name=name: verdict(name != failing, 1 if name != failing else 2, 1, "planted")
        gate_check(number, name, follows=check.follows)(planted)
    run = begin(number, settings)
    if number == 6:
        stage = promote_if_passed(run, "3", [CheckResult(failing or "all", "fail" if failing else "pass")], {"tested": "passed"})
        metrics = {"roc_auc": {"value": 0.8}}
        run.output(write_json(run.artifacts / "test_report.json", {"model": {"version": "3", "stage": stage}, "metrics": metrics}))
    else:
        assert validated_version(settings) == "3"
        if not failing:
            tracking.promote(run, "3", "Production", {"deployed_by_epoch": "007", "deployment_sha256": "a", "unattended": "false"})
        run.output(write_text(run.artifacts / "deployment" / "Dockerfile", "FROM python"))
        run.output(write_json(run.artifacts / "deployment_report.json", {
            "version": "3", "unattended": False, "blockers": [f"{failing} failed"] if failing else []}))
    return run.finish()


def approve_at_the_terminal(number, waived, monkeypatch):
    answers = [*["y"] * len(REVIEW[number]), "", "ada", f"{number:03d}"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(answers) + "\n"))
    return cli.main(["approve", str(number), *[part for name in waived for part in ("--waive", f"{name}={WHY}")]])


def approve_in_the_panel(settings, number, waived):
    panel = ApprovalPanel(settings, number)
    assert list(panel.waivers) == waived  # what follows from another check is not asked about
    for box in panel.boxes:
        box.value = True
    for name in waived:
        panel.waivers[name].value = WHY
    panel.reviewer.value = "ada"
    panel.approve.click()
    assert "Receipt: event" in panel.message.value, panel.message.value


def reach(settings, number):
    for before in range(6, number):
        run_epoch(settings, before)
        record_decision(settings, before, "approved", "ada", criteria=REVIEW[before])


def goes_on(settings, registry, number, waived):
    "The model stands in its stage, marked, and the project reaches its end"
    holder = {alias: version for alias, version in registry.aliases.items()}
    assert holder[STAGES[number].lower()] == "3" and registry.tags["3"]["stage"] == STAGES[number]
    assert registry.tags["3"]["waivers"] == f"gate {number:03d}: ada waived '{waived}': {WHY}"
    assert project_state(settings)[number - 1][2:5] == ("done", "waived", "approved")
    for later in range(number + 1, 8):
        assert run_epoch(settings, later).passed
        record_decision(settings, later, "approved", "ada", criteria=REVIEW[later])
    begin(8, settings).finish()
    assert [state.state for state in project_state(settings)] == ["done"] * 8
    assert [problem for problem in check_record(settings).problems if problem.kind == "gate"] == []


@pytest.mark.parametrize("number, failing", CAUSES, ids=lambda value: str(value))
def test_a_failing_check_that_is_waived_leads_on_to_the_end(project, monkeypatch, capsys, number, failing):
    settings, registry = project
    reach(settings, number)
    report = run_epoch(settings, number, failing)
    assert [check.name for check in report.failures] == [failing]
    follows = {check.name: check.reason for check in report.checks if check.result == "follows"}
    assert follows == ({} if failing == ECHOES[number] else {ECHOES[number]: f"follows from '{failing}'"})
    assert f"gate {number:03d} is shut ({failing}" in next_step(project_state(settings)) and "epoch approve" in next_step(
        project_state(settings))
    if failing in ("latency", "app works"):
        approve_in_the_panel(settings, number, [failing])
    else:
        assert approve_at_the_terminal(number, [failing], monkeypatch) == 0
        assert "what to do: " in capsys.readouterr().out
    goes_on(settings, registry, number, failing)


def test_what_follows_is_shown_and_not_asked_for(project, monkeypatch, capsys):
    settings, registry = project
    run_epoch(settings, 6, "latency")
    shown = unescape(str(gate_html(settings, 6)))
    assert "follows from 'latency'" in shown and "1 following from another" in shown and "What to do" in shown
    assert approve_at_the_terminal(6, ["the model is in its stage"], monkeypatch) == 2
    assert "follows from 'latency' and is let pass with it" in capsys.readouterr().err
    assert registry.aliases == {}


def test_a_registry_that_is_away_is_made_up_for_by_the_next_epoch(project):
    settings, registry = project
    run_epoch(settings, 6, "latency")
    registry.away = True
    approve_in_the_panel(settings, 6, ["latency"])
    assert registry.aliases == {} and project_state(settings)[5].state == "done"
    warning = Ledger(settings.context_root).events("warning")[-1].data["text"]
    assert "is recorded, but the model did not get its stage: ConnectionError" in warning and warning in gate_html(
        settings, 6).replace("&#39;", "'")
    registry.away = False
    assert validated_version(settings) == "3" and registry.tags["3"]["tested"] == "waived"
    goes_on(settings, registry, 6, "latency")


def test_a_waiver_of_gate_007_stands_beside_the_model_card(project, monkeypatch):
    settings, _ = project
    reach(settings, 7)
    run_epoch(settings, 7, "app works")
    approve_in_the_panel(settings, 7, ["app works"])
    assert f"ada waived 'app works': {WHY}" in (settings.artifacts(7) / "deployment" / "WAIVERS.md").read_text()


@pytest.mark.parametrize("number", [5, 6, 7])
def test_every_check_says_what_to_do_with_a_command_or_a_key_of_the_brief(number):
    for name in REAL[number]:
        words = remedies()[code_of_check(number, name)]["do"]
        assert "`" in words and ("epoch" in words or "[" in words), f"{number:03d}/{name}: {words}"
        assert number == 5 or "waive" in words or "let it pass" in words, f"{number:03d}/{name}: {words}"
