"""A record written by an older kit still verifies, and today's kit goes on from it.

`records/schema_N.zip` is `.context` as the kit of that schema left it (zipped, so that neither line endings nor `epoch new`, which renames
the project in text files, can touch bytes that are hashed). Never make one anew with today's code: add the next schema's beside it.
"""
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from epochkit.core.settings import Settings, load_settings
from epochkit.core.errors import RecordError
from epochkit.core.pickles import load_pickle
from epochkit.record.events import schema_of
from epochkit.record.ledger import Ledger
from epochkit.record.views import differing_views, write_views
from epochkit.lifecycle.state import project_state
from epochkit.lifecycle.verify import check_record

RECORDS = sorted(Path(__file__).with_name("records").glob("schema_*.zip"))


@pytest.fixture(params=RECORDS, ids=lambda path: path.stem)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    "A home that holds nothing but the old record"
    settings = load_settings(home=tmp_path, env={})
    with zipfile.ZipFile(request.param) as record:
        record.extractall(settings.context_root)
    return settings


def shown(settings: Settings) -> dict[str, Any]:
    "One of the record's views"
    return json.loads((settings.context_root / "approval_log.json").read_text(encoding="utf-8"))


def of_the_record(settings: Settings) -> list[str]:
    "Problems of the record itself; the files it speaks of are not in the fixture"
    return [problem.what for problem in check_record(settings, gates=False).problems if problem.kind not in ("output", "evidence")]


def test_each_schema_has_its_record():
    numbers = [int(path.stem.partition("_")[2]) for path in RECORDS]
    assert numbers == list(range(1, numbers[-1] + 1))


def test_an_old_record_still_verifies(settings: Settings):
    events, drawn = Ledger(settings.context_root).events(), shown(settings)
    assert [event.seq for event in events] == list(range(1, drawn["ledger"]["seq"] + 1)) and len(events) >= 27
    assert schema_of(events) == drawn["schema_version"] and events[-1].data["decision"] == "changes requested"
    assert {"decision", "decision_refused", "transformation", "warning", "epoch_failed", "ledger_repaired"} <= {event.kind for event in events}
    assert of_the_record(settings) == []


def test_its_state_can_be_read(settings: Settings):
    states = project_state(settings)
    assert [state.state for state in states[:3]] == ["stale", "stale", "failed"]
    assert any("is gone" in reason for reason in states[0].reasons)


def test_todays_kit_goes_on_from_it(settings: Settings):
    ledger = Ledger(settings.context_root)
    before = ledger.path.read_bytes()
    ledger.append("note", {"text": "written by today's kit"})
    assert ledger.path.read_bytes().startswith(before)
    assert ledger.events()[-1].data == {"text": "written by today's kit"}
    write_views(ledger)
    assert differing_views(ledger) == [] and of_the_record(settings) == []


def test_a_flipped_byte_in_it_is_found(settings: Settings):
    path = Ledger(settings.context_root).path
    whole = path.read_bytes()
    for place in range(0, len(whole), 211):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(RecordError, match=f"line {whole[:place].count(10) + 1} "):
            Ledger(settings.context_root).events()


def test_its_tail_cannot_be_cut_unseen(settings: Settings):
    ledger = Ledger(settings.context_root)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    for kept in (0, 1, len(lines) // 2, len(lines) - 1):
        ledger.path.write_bytes(b"".join(lines[:kept]))
        report = check_record(settings, gates=False)
        assert report.exit_code == 4 and {problem.kind for problem in report.problems} & {"chain", "view"}, f"{kept} lines kept"


def test_once_todays_kit_wrote_to_it_its_head_cannot_be_lost(settings: Settings):
    ledger = Ledger(settings.context_root)
    ledger.append("note", {})
    ledger.append("note", {})
    (settings.context_root / "ledger.head").unlink()
    with pytest.raises(RecordError, match="ledger.head is missing"):
        ledger.events()


# ---- what a kit of the release before left behind: `kit_0_1.zip`, the record, a model and a known row of its demo


@pytest.fixture
def before(tmp_path: Path) -> Settings:
    "A home with the record and the saved objects of kit 0.1"
    with zipfile.ZipFile(Path(__file__).with_name("records") / "kit_0_1.zip") as kept:
        kept.extractall(tmp_path)
    return load_settings(home=tmp_path, env={})


def test_the_record_of_the_kit_before_is_whole(before: Settings):
    assert of_the_record(before) == [] and len(Ledger(before.context_root).events()) == 66


def test_its_epochs_say_in_one_line_why_they_are_stale(before: Settings):
    for state in project_state(before):
        assert state.state == "stale" and state.reasons[0].startswith("it ran with a kit before 0.2, which recorded code by file")


def test_its_model_gives_the_score_that_it_gave(before: Settings):
    known = json.loads((before.artifacts(7) / "deployment" / "known_row.json").read_text())
    bundle = load_pickle(next((before.artifacts(5) / "model").glob("bundle-*.joblib")))
    scored = bundle.score(pd.DataFrame([known["inputs"]]))
    assert scored["probability"][0] == pytest.approx(known["probability"], abs=1e-12) and scored["prediction"][0] == known["prediction"]


def test_its_fitted_pipeline_opens(before: Settings):
    pipeline = load_pickle(before.artifacts(4) / "feature_pipeline.joblib")
    assert type(pipeline).__module__ == "epochkit.features.pipeline" and "loan_to_price" in pipeline.feature_names_
