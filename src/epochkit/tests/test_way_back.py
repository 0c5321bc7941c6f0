"""The commands of ROLLBACK.md are run as they stand there, against a service that runs from the record; then the tour that ends `make demo`."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import yaml

from epochkit.cli import make_parser
from epochkit.core.settings import load_settings
from epochkit.lifecycle.tracking import stage_holder
from epochkit.models.bundle import load_bundle
from epochkit.record.ledger import Ledger
from epochkit.serving.api import start_service
from epochkit.serving.manifests import write_deployment
from epochkit.tests.conftest import ROOT

pytestmark = pytest.mark.lifecycle
BIN = Path(sys.executable).parent


@pytest.fixture
def second(copied_home, tmp_path):
    "A finished home in which version 2 took Production from version 1, and the deployment files of version 2"
    settings = load_settings(home=copied_home, env={})
    ledger = Ledger(settings.context_root)
    first = [event.data for event in ledger.events("model_registered")][-1]
    old, new = first["version"], str(int(first["version"]) + 1)
    path = settings.absolute(first["bundle_path"])
    copy = path.with_name("bundle-second.joblib")
    shutil.copy(path, copy)
    ledger.append("model_registered", first | {"version": new, "bundle_path": settings.relative(copy)}, epoch=5)
    for stage, archived, number in (("Staging", None, 6), ("Production", old, 7)):
        ledger.append("promotion", {"model": settings.project, "version": new, "stage": stage, "archived": archived}, epoch=number)
    known = json.loads((settings.artifacts(7) / "deployment" / "known_row.json").read_text())
    write_deployment(settings, load_bundle(settings, "Production"), copy, tmp_path / "deployment", known, before=old)
    return settings, tmp_path / "deployment", old, new


def commands(text):
    "What stands between backticks and is a command, in the order of the text"
    return [found for found in re.findall(r"`([^`]+)`", text.replace("\n", " ")) if found.split()[0] in ("epoch", "python", "kubectl")]


def typed(command, folder, home, **env):
    "A command as somebody types it in the folder of the deployment"
    where = {**os.environ, "EPOCH_HOME": str(home), "EPOCH_PROJECT": str(ROOT), "PATH": f"{folder.parent / 'bin'}:{BIN}:{os.environ['PATH']}"}
    return subprocess.run(shlex.split(command), cwd=folder, env=where | env, capture_output=True, text=True, timeout=180)


def took_over(url, version):
    "Whether the running service answers with this version within seconds"
    for _ in range(150):
        if httpx2.get(f"{url}/model/info", trust_env=False).json()["version"] == version:
            return True
        time.sleep(0.2)
    return False


def test_the_written_way_back_is_walked_command_by_command(second):
    settings, folder, old, new = second
    text = (folder / "ROLLBACK.md").read_text()
    told = commands(text)
    assert [command.split()[:2] for command in told] == [
        ["kubectl", "rollout"], ["kubectl", "rollout"], ["kubectl", "rollout"], ["epoch", "rollback"], ["python", "smoke_test.py"],
        ["epoch", "run"], ["epoch", "rollback"], ["epoch", "trace"]]
    back, smoke, again, forth, trace = told[3:]
    assert stage_holder(settings, "Production") == new
    with start_service(settings, stage="Production") as server:
        assert took_over(server.url, new)
        row = json.loads((folder / "known_row.json").read_text())["inputs"]
        answer = httpx2.post(f"{server.url}/predict", json=row, trust_env=False).json()
        assert answer["model_version"] == new

        done = typed(back, folder, settings.home)
        assert done.returncode == 0 and f"version {old} holds Production again" in done.stdout, done.stderr
        assert took_over(server.url, old) and stage_holder(settings, "Production") == old
        event = Ledger(settings.context_root).events("promotion")[-1]
        assert (event.data["rolled_back"], event.data["reason"]) == (new, "what went wrong")

        done = typed(smoke.replace("<address>", server.url), folder, settings.home)
        assert done.returncode == 0 and f"version {old}" in done.stdout and done.stdout.strip().endswith("ok"), done.stdout + done.stderr

        make_parser().parse_args(shlex.split(again)[1:])  # a whole training: test_lifecycle runs it

        done = typed(forth, folder, settings.home)
        assert done.returncode == 0 and took_over(server.url, new), done.stderr
        assert stage_holder(settings, "Production") == new

        done = typed(trace.replace("<prediction id>", answer["prediction_id"]), folder, settings.home)
        assert done.returncode == 0 and f"version {new}" in done.stdout, done.stderr
    assert typed(back, folder, settings.home).returncode == 1  # the predecessor was rolled back itself


def test_the_commands_of_the_cluster_name_what_the_files_define(second):
    _, folder, _, _ = second
    kubectl = folder.parent / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text("#!/bin/sh\necho \"$@\" >> \"$CALLS\"\n")
    kubectl.chmod(0o755)
    calls = folder.parent / "calls"
    for command in commands((folder / "ROLLBACK.md").read_text())[:3]:
        assert typed(command, folder, folder, CALLS=str(calls)).returncode == 0
    deployment = yaml.safe_load((folder / "kubernetes" / "deployment.yaml").read_text())
    named = {line.split()[2] for line in calls.read_text().splitlines()}
    assert [line.split()[1] for line in calls.read_text().splitlines()] == ["undo", "status", "history"]
    assert named == {f"deployment/{deployment['metadata']['name']}"} and deployment["spec"]["revisionHistoryLimit"] == 5


def toured(home):
    "The tour that ends `make demo`, and what its table says of each step"
    env = {**os.environ, "EPOCH_HOME": str(home), "EPOCH_PROJECT": str(ROOT)}
    done = subprocess.run([sys.executable, ROOT / "tools" / "tour.py"], env=env, capture_output=True, text=True, timeout=600)
    lines = done.stdout.partition("---\n")[2].splitlines()[:-1]
    return done, {line.split()[0]: line.split(maxsplit=2)[2] for line in lines}


def test_the_tour_calls_clicks_watches_and_goes_back_and_forth(second):
    settings, _, old, new = second
    done, table = toured(settings.home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [*table] == ["serve", "call", "batch", "trace", "app", "monitor", "rollback"]
    assert "as in epoch 007" in table["call"] and "without the key: 401" in table["call"] and "from this answer to 'source:" in table["trace"]
    assert f"rows of version {new}" in table["monitor"] and f"version {new} → {old} → {new}" in table["rollback"]
    assert stage_holder(settings, "Production") == new


def test_the_tour_says_where_there_is_nothing_to_go_back_to_and_what_fails(copied_home):
    known = copied_home / "artifacts" / "epoch007-application-development" / "deployment" / "known_row.json"
    story = json.loads(known.read_text())
    if known.parent.joinpath("ROLLBACK.md").read_text().count("there was no version before this one"):
        done, table = toured(copied_home)
        assert done.returncode == 0 and table["rollback"].startswith("refused, as it must be: version 1 is the first"), done.stdout
    known.write_text(json.dumps(story | {"probability": 0.5}))  # changed evidence: the model is not served any more
    done, table = toured(copied_home)
    assert done.returncode == 4 and "known_row.json changed" in done.stderr, done.stdout + done.stderr
