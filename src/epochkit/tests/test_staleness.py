"""Every epoch × everything that can be wrong with it: whatever comes after refuses, and a second pass works."""
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from epochkit.serving.app import load_app_data
from epochkit.review.decisions import REVIEW, record_decision
from epochkit.core.settings import EPOCHS, Settings, load_settings
from epochkit.core.errors import PipelineError
from epochkit.lifecycle.gates import gate_check, verdict
from epochkit.record.events import latest
from epochkit.record.ledger import Ledger
from epochkit.record.views import write_views
from epochkit.lifecycle.run import EpochRun, begin
from epochkit.lifecycle.state import project_state
from epochkit.serving.service import served_bundle
from epochkit.lifecycle.verify import check_record
from epochkit.record.signatures import sign
from epochkit.lifecycle.validity import signed_payload
from epochkit.lifecycle.tracking import promote

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine: apt-get install openssh-client")
HUMAN = [item.number for item in EPOCHS if item.human_gate]


@pytest.fixture(scope="module", autouse=True)
def always_open_gates():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epochkit.lifecycle.gates.CHECKS", {})
        patch.setattr("epochkit.lifecycle.gates.load_rooms", lambda *_: None)
        for item in EPOCHS:
            gate_check(item.number, "always")(lambda context: verdict(True, 1, 1))
        yield


def project(home: Path, keys: Path) -> Settings:
    "A project whose decisions must be signed by Bob"
    return load_settings(home=home, env={}).model_copy(update={"gate_modules": (), "require_signatures": True,
                                                              "allowed_signers": str(keys / "allowed")})


def run_epoch(settings: Settings, number: int, content: str = "") -> None:
    run = begin(number, settings)
    if number > 1:
        run.input(number - 1, f"result{number - 1}.json")
    (run.artifacts / f"result{number}.json").write_text(content or f'{{"epoch": {number}}}')
    run.output(run.artifacts / f"result{number}.json", evidence=True)
    run.finish()


def approve(settings: Settings, number: int) -> None:
    record_decision(settings, number, "approved", "bob", "seen", REVIEW[number])


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("bob", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True)
    (folder / "allowed").write_text("bob " + (folder / "bob.pub").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EPOCH_SIGNING_KEY", str(folder / "bob"))
        yield folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, keys):
    "All eight epochs done and signed"
    settings = project(tmp_path_factory.mktemp("done") / "home", keys)
    for item in EPOCHS:
        run_epoch(settings, item.number)
        if item.human_gate:
            approve(settings, item.number)
    assert [state.state for state in project_state(settings)] == ["done"] * 8
    return settings


@pytest.fixture
def settings(finished, keys, tmp_path):
    shutil.copytree(finished.home, tmp_path / "home")
    return project(tmp_path / "home", keys)


def rewrite(settings: Settings, keep) -> None:
    "The same record without some events, its chain sound: what a project looks like that never got further"
    ledger = Ledger(settings.context_root)
    events = [event for event in ledger.events() if keep(event) and event.kind != "ledger_created"]
    for file in (ledger.path, settings.context_root / "ledger.head", *settings.context_root.glob("*.json")):
        file.unlink()
    for event in events:
        ledger.append(event.kind, event.data, event.epoch)
    write_views(ledger)


def missing(settings, number, keys):
    if number in HUMAN:
        rewrite(settings, lambda event: not (event.epoch and event.epoch >= number and (event.kind == "decision" or event.epoch > number)))
    else:
        rewrite(settings, lambda event: not (event.epoch and event.epoch >= number))


def rejected(settings, number, keys):
    gate = next((gate for gate in HUMAN if gate >= number), 7)
    record_decision(settings, gate, "rejected", "bob", "not like this", return_to=min(number, gate))


def changes_requested(settings, number, keys):
    record_decision(settings, number, "changes requested", "bob", "one more figure")


def stale(settings, number, keys):
    path = settings.artifacts(number) / f"result{number}.json"
    path.write_text(path.read_text() + " ")


def damaged_chain(settings, number, keys):
    path = settings.context_root / "ledger.jsonl"
    event = latest(Ledger(settings.context_root).events(), number, "epoch_finished")
    path.write_bytes(path.read_bytes().replace(event.hash.encode(), event.hash[::-1].encode(), 1))


def wrong_signer(settings, number, keys):
    ledger = Ledger(settings.context_root)
    data = {**latest(ledger.events(), number, "decision").data, "reviewer": "eve", "signer": "bob"}
    ledger.append("decision", {**data, "signature": sign(signed_payload(data), keys / "eve")}, epoch=number)


WRONGS = {wrong.__name__: (wrong, code) for wrong, code in (
    (missing, (1, 3)), (rejected, (1, 3)), (changes_requested, (1,)), (stale, (4,)), (damaged_chain, (4,)), (wrong_signer, (3,)))}
CASES = [(number, name) for number in range(1, 8) for name in WRONGS
         if number in HUMAN or name not in ("changes_requested", "wrong_signer")]


def doors(settings: Settings, number: int):
    "What has to stay shut"
    return {"next epoch": lambda: begin(number + 1, settings), "service": lambda: served_bundle(settings, "Production", env={}),
            "app": lambda: load_app_data(settings, "Production"),
            "promotion": lambda: promote(EpochRun(max(number + 1, 7), settings, {}), "1", "Production")}


@pytest.mark.parametrize("number, wrong", CASES)
def test_what_comes_after_refuses(settings, keys, number, wrong):
    make, codes = WRONGS[wrong]
    make(settings, number, keys)
    for name, door in doors(settings, number).items():
        with pytest.raises(PipelineError) as refused:
            door()
        assert refused.value.exit_code in codes, f"{name}: {refused.value}"
        assert wrong == "damaged_chain" or f"epoch {number:03d}" in str(refused.value), f"{name}: {refused.value}"
    if wrong == "damaged_chain":
        assert check_record(settings, gates=False).exit_code == 4
    else:
        after = [state for state in project_state(settings) if state.epoch >= number]
        assert {state.state for state in after} <= {"not started", "awaiting review", "rejected", "stale"}


def test_with_nothing_wrong_the_service_gets_past_the_gate(settings):
    with pytest.raises(PipelineError, match="no model is registered"):
        served_bundle(settings, "Production", env={})


@pytest.mark.parametrize("gate, back_to", [(gate, back) for gate in HUMAN for back in (1, gate)])
def test_a_second_pass_works_and_history_is_kept(settings, gate, back_to):
    record_decision(settings, gate, "rejected", "bob", "not like this", return_to=back_to)
    assert [state.state for state in project_state(settings)[back_to - 1:gate]] == ["stale"] * (gate - back_to) + ["rejected"]
    for number in range(back_to, gate + 1):
        run_epoch(settings, number, f'{{"epoch": {number}, "pass": 2}}')
        if number in HUMAN:
            assert project_state(settings)[number - 1].state == "awaiting review"
            approve(settings, number)
    states = project_state(settings)
    assert [state.state for state in states[:gate]] == ["done"] * gate and {state.state for state in states[gate:]} == {"stale"}
    decisions = json.loads((settings.context_root / "approval_log.json").read_text())["decisions"]
    assert "rejected" in [item["decision"] for item in decisions] and decisions[-1]["decision"] == "approved"


def test_a_rejection_can_be_taken_back_by_a_person(settings):
    record_decision(settings, 3, "rejected", "bob", "a slip of the mouse", return_to=1)
    approve(settings, 3)
    assert [state.state for state in project_state(settings)] == ["done"] * 8
