"""`make audit` counts what was looked up: pip-audit alone says that all is well when it saw nothing."""
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[3] / "tools" / "audit.py")
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

FINE = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNSEEN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize("packages, why, code, words", [
    ([FINE, FINE], "", 0, "2 packages looked up, 0 vulnerabilities"), ([FINE, BAD], "", 1, "b 2: CVE-1, mended in 3"),
    ([FINE, UNSEEN], "", 0, "not looked up: c"), ([BAD, UNSEEN], "", 1, "1 packages looked up, 1 vulnerabilities"),
    ([UNSEEN, UNSEEN], "", 0, "SKIPPED, none of 2 packages could be looked up: not found"),
    ([], "ConnectionError: no route", 0, "SKIPPED, none of 0 packages could be looked up: ConnectionError: no route")])
def test_the_verdict_says_how_much_was_seen(packages, why, code, words):
    found, lines = audit.judged(packages, why)
    assert found == code and words in "\n".join(lines)


def test_pins_of_every_platform_are_asked_for_without_local_labels(tmp_path):
    lock = tmp_path / "x.lock"
    lock.write_text("# a comment\na-b==1.0 \\\n    --hash=sha256:00\ntorch==2.13.0+cpu ; sys_platform == 'linux' \\\n"
                    "torch==2.13.0 ; sys_platform != 'linux'\n")
    assert audit.pinned(lock) == ["a-b==1.0", "torch==2.13.0"]
    assert len(audit.pinned(audit.ROOT / "requirements.lock")) > 250


def test_a_report_that_is_none_is_a_reason(monkeypatch, tmp_path, capsys):
    answer = SimpleNamespace(stdout="", stderr="WARNING\nERROR:pip_audit: could not connect")
    monkeypatch.setattr(audit.subprocess, "run", lambda *args, **options: answer)
    assert audit.looked_up(["a==1"]) == ([], "ERROR:pip_audit: could not connect")
    answer.stdout = '{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}'
    assert audit.looked_up(["a==1"]) == ([FINE], "") and audit.main(tmp_path / "none.lock") == 2
    assert "pins nothing" in capsys.readouterr().out
