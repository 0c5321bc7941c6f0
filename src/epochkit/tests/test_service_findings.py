"""What an audit of the service, the app, the monitoring and the deployment found once, F1 to F17, and the tests that hold each of them mended.

F1 a body of 40 kB stopped the service · F2 a promotion went round the gates · F3 the alias was believed, not the record · F4 groups that are treated
unlike passed · F5 idle sockets shut the service · F6 the written way back did not work · F7 `epoch trace` was not there · F8 the mark could be dropped ·
F9 the monitoring was blind to label shift, and diluted by the trial · F10 the app listened everywhere and called outside · F11 MLflow's copy was not
hashed · F12 OpenAPI was untrue · F13 the log was readable by all and read as a whole · F14 Flask had no start command · F15 batches paid more for the log
and the validation than for the scores · F16 refused rows were seen by nobody · F17 figures of the retrospective compared unlike things
"""
import ast
import re
from pathlib import Path

import pandas as pd
import pytest

from epochkit.core.settings import load_settings
from epochkit.serving import service as service_module
from epochkit.serving.app import app_command
from epochkit.serving.service import PredictionService
from epochkit.testing.examples import ExampleBundle, example_row

HERE = Path(__file__).parent
ROOT = load_settings(env={}).code_root
FINDINGS = {
    "F1": ["serving_http_bodies::twice_the_length_takes_about_twice_the_time_and_never_seconds",
           "serving_api::a_question_has_no_body_and_a_stranger_none_that_is_read"],
    "F2": ["lifecycle_tracking::a_stage_is_given_by_its_epoch_to_a_version_that_earned_it"],
    "F3": ["lifecycle_tracking::the_record_decides_and_not_the_alias"],
    "F4": ["validation_fairness::a_lender_who_refuses_the_young_is_found", "validation_gate::groups_that_differ_too_much_are_named_with_their_values"],
    "F5": ["serving_http_sockets::silent_sockets_do_not_keep_others_out_and_end",
           "serving_http_sockets::of_very_many_silent_sockets_the_oldest_goes"],
    "F6": ["way_back::the_written_way_back_is_walked_command_by_command",
           "lifecycle_tracking::a_rollback_is_recorded_and_survives_the_next_run"],
    "F7": ["serving_trace::a_prediction_leads_back_to_the_source_file_and_forward_to_its_label",
           "way_back::the_written_way_back_is_walked_command_by_command"],
    "F8": ["serving_service::a_changed_and_a_missing_file_are_told_and_nothing_is_loaded", "serving_service::the_environment_can_make_or_name_a_bundle"],
    "F9": ["serving_watch_signals::a_share_that_went_from_28_to_42_percent_is_found_in_nine_of_ten_and_a_quiet_one_is_not",
           "serving_monitoring::the_trial_of_epoch_007_thins_nothing_out_and_a_window_narrows"],
    "F10": ["service_findings::the_app_is_started_for_this_machine_alone_and_tells_nobody", "browser::every_page_of_the_app_fits_its_window"],
    "F11": ["lifecycle_verify::a_changed_copy_in_mlflow_and_a_moved_alias_are_told"],
    "F12": ["serving_api::the_row_is_described_in_openapi",
            "serving_api::the_page_of_documentation_asks_no_other_server_and_shows_nothing_without_the_key"],
    "F13": ["serving_store_database::the_tables_are_made_once_and_the_file_is_of_its_owner_alone",
            "serving_store_predictions::a_window_bounds_what_is_read_and_leaves_the_trial_out",
            "serving_service::columns_that_tell_one_person_from_another_are_not_stored"],
    "F14": ["serving_api::flask_is_started_like_fastapi", "serving_api::flask_and_fastapi_answer_alike"],
    "F15": ["service_findings::a_batch_waits_for_no_log_and_plain_rows_for_no_second_check"],
    "F16": ["serving_service::the_door_is_stored_and_refused_rows_are_counted_by_reason",
            "serving_watch_signals::refused_rows_ring_beyond_what_is_accepted_and_chance_brings"],
    "F17": ["retrospective_comparison::an_epoch_without_an_estimate_is_compared_with_nothing",
            "retrospective_what_if::a_rival_is_compared_on_the_same_rows", "retrospective_what_if::stored_gains_turn_round_and_are_widened",
            "validation_gate::a_threshold_that_flags_nobody_is_told_with_what_it_costs"],
}


def test_each_finding_has_its_tests():
    assert [*FINDINGS] == [f"F{number}" for number in range(1, 18)] and all(name in __doc__ for name in FINDINGS)
    for finding, tests in FINDINGS.items():
        for place, name in (test.split("::") for test in tests):
            tree = ast.parse((HERE / f"test_{place}.py").read_text(encoding="utf-8"))
            assert f"test_{name}" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (finding, place, name)


def test_the_app_is_started_for_this_machine_alone_and_tells_nobody():
    told = dict(word[2:].split("=", 1) for word in app_command(load_settings(env={}), 8501) if word.startswith("--"))
    assert told["server.address"] == "127.0.0.1" and told["browser.gatherUsageStats"] == "false"
    assert told["client.showErrorDetails"] == "none" and told["client.toolbarMode"] == "minimal"
    texts = [ROOT / "README.md", *ROOT.glob("docs/guides/*.md"), *ROOT.glob("epoch00*/README.md")]
    assert len(texts) > 15
    assert [path.name for path in texts if re.search(r"streamlit\s+run", path.read_text(encoding="utf-8"))] == []


class _Kept:
    "A store that is handed what makes its entries, and makes none"
    trouble, not_stored, waiting = "", 0, 0

    def __init__(self):
        self.handed = []

    def put(self, rows, entries, wait_s=0.0):
        self.handed.append((rows, entries))


def test_a_batch_waits_for_no_log_and_plain_rows_for_no_second_check(monkeypatch):
    store = _Kept()
    service = PredictionService(ExampleBundle(), store)
    monkeypatch.setattr(service_module, "json_rows", lambda *_: pytest.fail("an entry was made while the caller waited"))
    monkeypatch.setattr(service.form, "checked", lambda *_: pytest.fail("plain rows were checked cell by cell once more"))
    rows = service.shaped({"rows": [example_row() for _ in range(1_000)]}, batch=True)
    assert len(service.predict(rows, batch=True)) == 1_000 and [rows for rows, _ in store.handed] == [1_000]
    monkeypatch.undo()
    entries = store.handed[0][1]()
    assert len(entries) == 1_000 and pd.DataFrame(entries)["id"].is_unique and {entry["door"] for entry in entries} == {"batch"}
