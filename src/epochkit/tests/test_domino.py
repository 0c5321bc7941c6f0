"""Domino without Domino: a platform of folders and variables, on which a project is made, explained, run to its end and served."""
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import epochkit
from epochkit.core.domino import is_reserved
from epochkit.core.settings import EPOCHS, load_settings
from epochkit.project.template import ProjectFacts, project_files
from epochkit.runner.notebook import _environment
from epochkit.serving.server import free_port, server_environment, start_server
from epochkit.tests.domino_platform import EPOCH, SOURCES, Platform, as_another_user, edit, make_platform, remove_platform, settle
from epochkit.tests.test_dependencies import files, imports, packages

pytestmark = pytest.mark.agents
ROOT = Path(epochkit.__file__).parents[2]
PRICE = {"COST_PER_HOUR": "small-k8s=0.36, gpu-k8s=2.4"}


@pytest.fixture(scope="module")
def table() -> str:
    from sklearn.datasets import load_diabetes
    return load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"}).to_csv(index=False)


def platforms(table: str, git_based: bool):
    "A simulated run with a project in it, made by `epoch new --domino` from a table that may only be read"
    root = Path(tempfile.mkdtemp(prefix="domino-"))
    root.chmod(0o755)
    platform = make_platform(root, git_based, table)
    done = platform.run("epoch", "new", str(platform.code), "--name", "visits", "--data", str(platform.table), "--target", "progression",
                        "--domino", "--yes")
    try:
        assert done.returncode == 0, done.stderr
        settle(platform, free_port())
        yield platform
    finally:
        remove_platform(platform)


@pytest.fixture(scope="module")
def git_based(table):
    yield from platforms(table, git_based=True)


@pytest.fixture(scope="module")
def dfs(table):
    yield from platforms(table, git_based=False)


@pytest.fixture(scope="module")
def finished(git_based) -> Platform:
    "The Git-based project after all eight epochs, on three tiers, with its time and cost recorded in epoch 005"
    if not git_based.data.exists():
        assert git_based.run("mkdir", str(git_based.data)).returncode == 0
    for words, env in ((("epoch", "run", "1-4"), {}), (("epoch", "run", "5"), {"ENABLE_COST_TRACKING": "true", "DOMINO_HARDWARE_TIER_ID": "gpu-k8s"}),
                       (("bash", "domino/epoch.sh", "run", "all"), {"DOMINO_HARDWARE_TIER_ID": "large-k8s"})):
        done = git_based.run(*words, "--unattended", "simulated Domino", **PRICE, **env)
        assert done.returncode == 0, done.stderr[-3000:]
    return git_based


def one_line(done: subprocess.CompletedProcess) -> str:
    "The one line of an error of the user's"
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def row(done: subprocess.CompletedProcess, name: str) -> dict:
    found = {item["name"]: item for item in json.loads(done.stdout)["rows"]}
    assert not [item["seen"] for item in found.values() if "could not be looked at" in item["seen"]]
    return found.get(name, {})


# ------------------------------------------------------------------------------------------------------- before the first run
@pytest.mark.lifecycle
def test_the_simulation_binds_its_user(git_based):
    done = git_based.run(sys.executable, "-c", f"import os; print(os.getuid()); open({str(git_based.table)!r}, 'a')")
    assert "Permission denied" in done.stderr
    assert not as_another_user() or "unshare" not in as_another_user()[0] or done.stdout.strip() == "12574"
    assert git_based.run("bash", "-c", "command -v git").returncode == 1


@pytest.mark.lifecycle
@pytest.mark.parametrize("kind", ["git_based", "dfs"])
def test_the_doctor_explains_what_it_found(kind, request):
    platform = request.getfixturevalue(kind)
    data = platform.data.exists()
    done = platform.run("epoch", "doctor", "--json", **PRICE)
    word = "Git-based" if kind == "git_based" else "DFS"
    assert row(done, "Domino")["seen"] == f"{word} project clinic/visits, started by ada, run 7, tier small-k8s"
    assert row(done, "data folder")["state"] == ("warn" if data else "missing") and "dataset 'visits'" in row(done, "data folder")["remedy"]
    assert row(done, "price")["seen"] == "0.36 an hour on tier small-k8s" and row(done, "git")["state"] == "warn"
    assert row(done, "record")["state"] == ("warn" if kind == "git_based" else "ok")
    told = platform.run("epoch", "doctor", FLINK_MASTER_SERVICE_HOST="flink-0", DOMINO_WORKING_DIR="").stdout
    assert "DOMINO_RUN_ID" in told and "without DOMINO_WORKING_DIR" in told
    assert "unknown kind 'flink'" in row(platform.run("epoch", "doctor", "--json", FLINK_MASTER_SERVICE_HOST="flink-0"), "cluster")["seen"]


@pytest.mark.lifecycle
@pytest.mark.parametrize("env, words", [
    ({"DOMINO_WORKING_DIR": ""}, "without DOMINO_WORKING_DIR"),
    ({"DOMINO_PROJECT_NAME": ""}, "without DOMINO_PROJECT_NAME"),
    ({"DOMINO_IS_GIT_BASED": "false"}, "two kinds of projects"),
    ({"DOMINO_DATASETS_DIR": "/domino/datasets"}, "two kinds of projects"),
    ({"DOMINO_PROJECT_NAME": "../elsewhere"}, "no name of a folder"),
])
def test_variables_that_do_not_fit_are_one_clear_error(git_based, env, words):
    for command in (("status",), ("run", "1", "--unattended", "x")):
        assert words in one_line(git_based.run("epoch", *command, **env))


def typed_at_a_terminal(platform: Platform, answer: str, *command: str) -> tuple[int, str]:
    "Exit code and stderr of a command that a person at a terminal started, who gives this answer"
    ours, theirs = pytest.importorskip("pty").openpty()
    with subprocess.Popen([*as_another_user(), EPOCH, *command], cwd=platform.code, env=platform.env, stdin=theirs, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        os.write(ours, answer.encode())
        _, said = process.communicate(timeout=600)
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


@pytest.mark.lifecycle
def test_a_missing_data_folder_is_asked_for_and_made_only_after_a_yes(dfs):
    assert "nobody is here to be asked: add the dataset 'visits'" in one_line(dfs.run("epoch", "run", "1", "--unattended", "x"))
    code, said = typed_at_a_terminal(dfs, "n\n", "run", "1", "--unattended", "x")
    assert code == 2 and "Make it? [y/N]" in said and "was not made" in said and not dfs.data.exists()
    code, said = typed_at_a_terminal(dfs, "y\n", "run", "next", "--unattended", "x")
    assert code == 0 and dfs.data.is_dir(), said


IN_A_NOTEBOOK = """import json, nbclient, nbformat
cells = [nbformat.v4.new_code_cell("from epochkit.lifecycle.run import begin"), nbformat.v4.new_code_cell("begin(1)")]
book = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(book, kernel_name="python3", allow_errors=True).execute()
print(json.dumps(book.cells[1].outputs))"""


@pytest.mark.lifecycle
def test_a_person_in_a_notebook_gets_a_button_above_the_error(git_based):
    done = git_based.run(sys.executable, "-c", IN_A_NOTEBOOK, DOMINO_PROJECT_NAME="fresh")
    assert done.returncode == 0, done.stderr[-1500:]
    shown, error = json.loads(done.stdout.splitlines()[-1])
    assert "application/vnd.jupyter.widget-view+json" in shown["data"] and error["ename"] == "BadInputError"
    assert "press 'Make the folder' above, or add the dataset 'fresh'" in error["evalue"] and not (git_based.data.parent / "fresh").exists()


@pytest.mark.lifecycle
def test_a_home_on_the_dataset_is_shared_and_the_dataset_is_asked_for_first(git_based):
    dataset = git_based.data.parent / "shared"
    env = {"DOMINO_PROJECT_NAME": "shared", "EPOCH_HOME": str(dataset / "home")}
    brief = ("--brief", "epoch001-research-analysis-planning/project_brief.toml", "--unattended", "x")
    for command in (("run", "1", *brief), ("plan", "Plan a churn project with 12 features and 5000 rows")):
        assert "add the dataset 'shared'" in one_line(git_based.run("epoch", *command, **env)) and not dataset.exists()
    dataset.mkdir()
    done = git_based.run("epoch", "run", "1", *brief, **env)
    assert done.returncode == 0 and (dataset / "home" / ".context" / "ledger.jsonl").is_file(), done.stderr
    assert (dataset / "home" / "artifacts" / EPOCHS[0].folder / "executive_summary.html").is_file()
    assert "share it" in row(git_based.run("epoch", "doctor", "--json", **env), "record")["seen"]


@pytest.mark.lifecycle
def test_a_data_folder_that_may_only_be_read_is_told_before_anything_starts(git_based):
    made = not git_based.data.exists()
    git_based.data.mkdir(exist_ok=True)
    before = git_based.data.stat().st_mode
    git_based.data.chmod(0o555)
    try:
        assert "cannot be written by ada: mount the dataset" in one_line(git_based.run("epoch", "run", "1", "--unattended", "x"))
        assert "read-only" in row(git_based.run("epoch", "doctor", "--json"), "data folder")["seen"]
    finally:
        git_based.data.chmod(before)
        if made:
            git_based.data.rmdir()


def test_children_and_kernels_get_what_the_platform_reserves_as_it_is(monkeypatch, tmp_path):
    own = {"DOMINO_PROJECT_NAME": "risk", "DOMINO_WORKING_DIR": "/mnt/code", "DOMINO_RUN_ID": "1", "MLFLOW_TRACKING_URI": "http://tracking",
           "USER": "ubuntu", "LOGNAME": "ubuntu"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(home=tmp_path)
    with _environment(settings):
        seen = {name: value for name, value in os.environ.items() if is_reserved(name)}
    assert seen == {**seen, **own} == {name: value for name, value in server_environment(settings, EPOCH_STAGE="Staging").items() if is_reserved(name)}


# --------------------------------------------------------------------------------------------------------------- its files
@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    "The texts that `epoch new --domino` adds"
    plain, more = (project_files(ProjectFacts("visits", "Plans visits.", domino)) for domino in (False, True))
    return {name: more[name].decode() for name in set(more) - set(plain)}


def pinned(text: str) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in re.finditer(r"^\s*'?([\w.-]+)==([^\s;'\\]+)", text, re.MULTILINE)}


@pytest.mark.lifecycle
def test_a_project_that_is_there_gets_the_files_too(table, tmp_path):
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    project, env = tmp_path / "visits", {**os.environ, "EPOCH_PROJECT": str(tmp_path / "visits"), "PYTHONPATH": str(SOURCES)}
    new = [EPOCH, "new", str(project), "--data", str(tmp_path / "t.csv"), "--target", "progression", "--yes"]
    assert subprocess.run(new, env=env, capture_output=True).returncode == 0 and not (project / ".dominoignore").exists()
    for words, kept in ((("upgrade", "--domino"), False), (("upgrade",), True)):
        done = subprocess.run([EPOCH, *words], env=env, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0 and ("governance.yaml" in done.stdout) != kept, done.stdout + done.stderr
        assert (project / ".dominoignore").is_file() and (project / "domino" / "governance.yaml").is_file()
        commit = "git add -A && git -c user.name=a -c user.email=a@b commit -qm 'for Domino' --no-verify"
        assert kept or subprocess.run(commit, shell=True, cwd=project).returncode == 0


def test_the_requirements_are_the_pins_of_the_lock_and_written_by_the_tool(given):
    spec = importlib.util.spec_from_file_location("lock_domino", ROOT / "tools" / "lock" / "domino.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert given["requirements-domino.txt"] == tool.text(), "run python tools/lock/domino.py"
    own, lock = pinned(given["requirements-domino.txt"]), pinned((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    lock["torch"] = "2.13.0+cpu"
    assert own and {name: version for name, version in own.items() if lock.get(name) != version} == {}
    assert own == pinned(given["domino/environment.Dockerfile"]), "the image gets the same packages"


def test_the_requirements_hold_what_the_kit_imports_and_nothing_that_nobody_needs(given):
    own = pinned(given["requirements-domino.txt"])
    paths = [path for path in files("src/epochkit/**/*.py") if "tests" not in path.parts and "testing" not in path.parts]
    wanted = {name: packages()[name] for path in paths for name in imports(path) if name in packages()} | {"psycopg": {"psycopg"}}
    missing = {name: found for name, found in wanted.items() if not found & set(own) and "epochkit" not in found}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set().union(*missing.values()) <= {"pytest", *extras["ai"], *extras["cluster"]}, "absent may be what nobody needs to run an epoch"
    of_all = re.search(r"\[(.+)\]", extras["all"][0])[1].split(",")
    direct = {re.sub(r"[-_.]+", "-", Requirement(text).name).lower()
              for text in [*project["dependencies"], *(text for name in of_all for text in extras[name])]}
    asked_for = {re.sub(r"[-_.]+", "-", Requirement(text).name).lower() for name in own for text in declared_by(name)}
    assert set(own) - direct - asked_for == set(), "every line is asked for by the kit or by another line"
    assert not {"pytest", "ruff", "nbval", "detect-secrets", "jupytext", "pre-commit", "uv", "playwright", "mkdocs-material"} & set(own)


def declared_by(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # tensorflow, where tensorflow-cpu is installed
        return []


def link_distribution(name: str, target: Path) -> None:
    "The files of an installed package, as links below `target`; a folder that several packages share is made anew"
    try:
        listed = distribution(name).files or []
    except PackageNotFoundError:
        return
    for file in listed:
        if ".." in file.parts or file.parts[0].endswith(".pth"):
            continue
        link, real = target / file, Path(file.locate())
        link.parent.mkdir(parents=True, exist_ok=True)
        if real.is_file() and not link.exists():
            link.symlink_to(real)


@pytest.mark.lifecycle
def test_with_these_packages_alone_every_module_and_framework_can_be_imported(given, tmp_path):
    for name in pinned(given["requirements-domino.txt"]):
        link_distribution(name, tmp_path / "site")
    heavy = ("catboost", "keras", "lightgbm", "mlflow", "optuna", "papermill", "psycopg", "statsmodels.api", "streamlit", "tensorflow", "torch", "xgboost",
             "jupyterlab.labapp", "nbdime", "fairlearn.metrics", "kaleido")
    code = (f"import sys\nsys.path += [{str(tmp_path / 'site')!r}, {str(SOURCES)!r}]\nimport importlib, pkgutil, epochkit\n"
            "names = [m.name for m in pkgutil.walk_packages(epochkit.__path__, 'epochkit.') if '.tests' not in m.name and '.testing' not in m.name]\n"
            f"for name in [*names, *{heavy!r}]:\n    importlib.import_module(name)\n"
            "outside = [n for n, m in sys.modules.items() if 'site-packages' in (getattr(m, '__file__', None) or '') and '.' not in n]\n"
            "print(len(names), outside)")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    count, _, outside = done.stdout.splitlines()[-1].partition(" ")
    assert int(count) > 150 and outside == "[]", "something came from elsewhere"


def policy_problems(policy: dict) -> list[str]:
    "What Domino's documentation of policies does not allow"
    problems = [f"unknown key {key}" for key in policy if key not in ("enforceSequentialOrder", "classification", "approvers", "stages", "gates", "metrics")]
    types = {"input": {"radio", "textinput", "textarea", "select", "multiselect", "checkbox", "date", "numeric"}, "guidance": {"textblock", "banner"},
             "metadata": {"file", "modelmetric"}}
    ids, approvals = [], []

    def check(evidence: dict) -> None:
        ids.append(evidence["id"])
        if not re.fullmatch(r"Local\.[a-z0-9-]+", evidence["id"]) or not evidence["name"] or not evidence["description"]:
            problems.append(f"{evidence['id']} has no id of its kind, name or description")
        for artifact in evidence["definition"]:
            details = artifact["details"]
            if details.get("type") not in types.get(artifact["artifactType"], ()):
                problems.append(f"{evidence['id']}: no {artifact['artifactType']} is of type {details.get('type')}")
            if not details.get("text" if artifact["artifactType"] == "guidance" else "label"):
                problems.append(f"{evidence['id']}: an artifact without words")
            if details.get("type") in ("radio", "select", "multiselect", "checkbox") and not all(isinstance(item, str) for item in details["options"]):
                problems.append(f"{evidence['id']}: options that are no text")
    for stage in policy["stages"]:
        for evidence in stage["evidenceSet"]:
            check(evidence)
        for approval in stage["approvals"]:
            approvals.append(approval["name"])
            check(approval["evidence"])
            if not all(isinstance(name, str) for name in approval["approvers"]):
                problems.append(f"{approval['name']}: approvers are no names")
    for gate in policy["gates"]:
        problems += [f"{gate['name']}: {rule['action']}" for rule in gate["rules"] if rule["action"] not in ("CreateApp", "CreateEndpoint")]
        problems += [f"{gate['name']} waits for {name}, which is no approval" for name in gate["approvals"] if name not in approvals]
    return problems + [f"{name} stands twice" for name in set(ids) if ids.count(name) > 1]


def test_the_policy_is_in_the_platforms_form_and_has_the_five_gates(given):
    policy = yaml.safe_load(given["domino/governance.yaml"])
    assert policy_problems(policy) == []
    assert [stage["name"][5:8] for stage in policy["stages"]] == [f"{epoch.number:03d}" for epoch in EPOCHS if epoch.human_gate]
    assert {rule["action"] for gate in policy["gates"] for rule in gate["rules"]} == {"CreateApp", "CreateEndpoint"}
    assert policy["gates"][0]["approvals"] == ["Gate 007 sign off"]
    policy["stages"][0]["evidenceSet"][0]["definition"][1]["details"]["type"] = "multiSelect"
    policy["gates"][0]["approvals"] = ["Gate 9"]
    assert len(policy_problems(policy)) == 2


def test_what_a_sync_leaves_out_is_no_part_of_the_record(given):
    ignored = {line.strip("/") for line in given[".dominoignore"].splitlines() if line and line[0] != "#"}
    assert {".venv", ".env", "__pycache__"} <= ignored
    assert not ignored & {".context", "artifacts", "data", "mlflow.db", "mlruns", "wheels", "src", "domino", ".epochkit"}


def test_a_job_is_green_where_a_person_decides_and_red_where_it_failed(tmp_path, given):
    (tmp_path / "domino").mkdir()
    script, fake = tmp_path / "domino" / "epoch.sh", tmp_path / "epoch"
    script.write_text(given["domino/epoch.sh"])
    for code, wanted in ((0, 0), (3, 0), (1, 1), (2, 2), (4, 4)):
        fake.write_text(f"#!/bin/sh\necho \"$PWD $*\"\nexit {code}\n")
        fake.chmod(0o755)
        done = subprocess.run(["bash", str(script), "run", "a b"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True)
        assert done.returncode == wanted and done.stdout == f"{tmp_path} run a b\n" and ("A person decides" in done.stderr) == (code == 3)


# ------------------------------------------------------------------------------------------------------------ the whole way
@pytest.mark.lifecycle
def test_a_git_based_project_runs_to_its_end_with_files_where_the_platform_wants_them(finished):
    states = json.loads(finished.run("epoch", "status", "--json").stdout)["epochs"]
    assert [item["state"] for item in states] == ["done"] * 8
    assert {path.name for path in finished.data.iterdir()} >= {EPOCHS[number].folder for number in (1, 2, 3, 4, 6)}
    assert {path.name for path in finished.artifacts.iterdir()} == {epoch.folder for epoch in EPOCHS}
    assert not (finished.code / "data").exists() and not (finished.code / "artifacts").exists()
    assert finished.run("epoch", "verify").returncode == 0


@pytest.mark.lifecycle
def test_the_record_names_person_run_and_tier(finished):
    started = finished.events("epoch_started")
    assert {event["actor"] for event in started} == {"ada"}
    assert {event["data"]["domino"]["tier"] for event in started if event["epoch"] in (1, 2, 3, 4)} == {"small-k8s"}
    assert all(event["data"]["domino"] | {"tier": ""} == {"project": "clinic/visits", "run": "66b1f0c2", "number": "7", "tier": ""} for event in started)
    assert all(event["data"]["authors"] == ["ada"] for event in finished.events("epoch_finished"))


@pytest.mark.lifecycle
def test_costs_are_those_of_the_tier_and_none_is_made_up(finished):
    machine = json.loads((finished.code / EPOCHS[0].folder / "resource_estimates.json").read_text())["machine"]
    assert (machine["cost_per_hour"], machine["tier"]) == (0.36, "small-k8s")
    costs = json.loads((finished.artifacts / EPOCHS[7].folder / "resource_utilization.json").read_text())["cost"]
    recorded, = finished.events("resources")
    assert set(costs) == {"1", "2", "3", "4", "5"} and costs["5"] == recorded["data"]["cost"]
    assert recorded["data"]["cost"] == pytest.approx(2.4 * recorded["data"]["seconds"] / 3600, abs=1e-4)
    said, = (item["claim"] for item in json.loads((finished.artifacts / EPOCHS[7].folder / "figures.json").read_text()) if item["name"] == "cost_by_epoch")
    assert "in 5 epochs with a price" in said
    assert "on hardware tier small-k8s" in (finished.code / EPOCHS[0].folder / "executive_summary.md").read_text()


@pytest.mark.lifecycle
def test_the_policy_names_the_files_that_people_saw_at_the_gates(finished):
    seen = {f"{event['epoch']:03d}": {Path(path).name for path in event["data"]["evidence"]} for event in finished.events("epoch_finished")}
    for stage in yaml.safe_load((finished.code / "domino" / "governance.yaml").read_text())["stages"]:
        text = stage["evidenceSet"][0]["definition"][0]["details"]["text"]
        named = set(re.findall(r"[\w.]+\.(?:json|csv|md|parquet)", text))
        number = stage["name"][5:8]
        assert named == {name for name in seen[number] if not name.endswith(".png") and name != "Dockerfile"}, number
        report = re.search(r"\((.+)\)", stage["evidenceSet"][0]["definition"][-1]["details"]["label"])[1]
        assert list(finished.artifacts.glob(f"epoch{number}-*/{report}")), report


@pytest.fixture(scope="module")
def published(finished) -> Platform:
    "The project with app.sh and endpoint.py at its root, as they are published"
    for name in ("app.sh", "endpoint.py"):
        assert finished.run("cp", str(finished.artifacts / EPOCHS[6].folder / "deployment" / "domino" / name), name).returncode == 0
    return finished


def known_row(platform: Platform) -> dict:
    return json.loads((platform.artifacts / EPOCHS[6].folder / "deployment" / "known_row.json").read_text())


@contextmanager
def away(platform: Platform, path: Path):
    "Inside, this file or folder is not there, as in a run that starts without it"
    assert platform.run("mv", str(path), f"{path}.away").returncode == 0
    try:
        yield
    finally:
        assert platform.run("mv", f"{path}.away", str(path)).returncode == 0


TRIED = """import json, sys
from epochkit.core.settings import load_settings
from epochkit.serving.app import try_app
print(json.dumps(try_app(load_settings(), [json.loads(sys.argv[1])], "Production"), default=str))"""


def app_answers(platform: Platform) -> bool:
    "Whether app.sh serves, and its page gives the known score in the environment that app.sh makes; True where it names the deployed model"
    import httpx2
    script, known = platform.code / "app.sh", known_row(platform)
    port = int(re.search(r"server\.port=(\d+)", script.read_text())[1])
    with start_server([*as_another_user(), "bash", str(script)], port, "/_stcore/health", platform.env) as server:
        assert "<title>Streamlit</title>" in httpx2.get(server.url, trust_env=False).text
    told = platform.root / "home" / "told.sh"
    told.write_text(re.sub(r"^exec .*", "env", script.read_text(), flags=re.MULTILINE).replace("${BASH_SOURCE[0]}", str(script)))
    made = dict(line.partition("=")[::2] for line in platform.run("bash", str(told)).stdout.splitlines() if line.startswith("EPOCH_"))
    done = platform.run(sys.executable, "-c", TRIED, json.dumps(known["inputs"]), **made)
    tried = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else pytest.fail(done.stderr[-1500:])
    assert tried["exceptions"] == [] and tried["answers"][0]["prediction"] == pytest.approx(known["prediction"], rel=1e-9)
    return "EPOCH_MODEL_FOLDER" in made


@pytest.mark.lifecycle
def test_the_app_starts_and_serves_the_model_of_the_record(published):
    assert not app_answers(published)


@pytest.mark.lifecycle
def test_the_app_serves_the_deployed_model_where_the_record_stayed_behind(published):
    with away(published, published.code / ".context"):
        assert app_answers(published)


ENDPOINT = """import json, runpy, sys
sys.path.append({site!r})
space = runpy.run_path({file!r})
import epochkit
print(json.dumps({{"kit": epochkit.__file__, "answer": space["predict"](**json.loads(sys.argv[1]))}}, default=str))"""


def asked(platform: Platform, file: Path, row: dict) -> subprocess.CompletedProcess:
    "An endpoint as the platform runs it: no variables of a run, no script before it, and no kit but the wheel in the project"
    code = ENDPOINT.format(site=sysconfig.get_paths()["purelib"], file=str(file))
    return subprocess.run([*as_another_user(), sys.executable, "-S", "-c", code, json.dumps(row)], cwd=platform.root, capture_output=True, text=True,
                          env={"PATH": platform.env["PATH"], "HOME": platform.env["HOME"]})


@pytest.mark.lifecycle
def test_the_endpoint_gives_the_known_score_to_a_raw_row(published):
    known = known_row(published)
    with away(published, published.data):  # an endpoint sees no dataset
        for file in (published.code / "endpoint.py", published.artifacts / EPOCHS[6].folder / "deployment" / "domino" / "endpoint.py"):
            done = asked(published, file, known["inputs"])
            told = json.loads(done.stdout) if done.returncode == 0 else pytest.fail(done.stderr[-1500:])
            assert told["answer"]["prediction"] == pytest.approx(known["prediction"], rel=1e-12)
            assert told["kit"].startswith(str(published.code / "wheels")) and told["answer"]["unattended"] is True
        refused = asked(published, published.code / "endpoint.py", known["inputs"] | {"age": "old"})
        assert refused.returncode == 1 and "age" in refused.stderr.splitlines()[-1]


@pytest.mark.lifecycle
def test_a_model_that_was_replaced_is_not_served(published):
    story = published.artifacts / EPOCHS[6].folder / "deployment" / "model" / "model.json"
    text = story.read_text()
    try:
        edit(story, ('"unattended": true', '"unattended": false'))
        done = asked(published, published.code / "endpoint.py", known_row(published)["inputs"])
        assert done.returncode == 1 and "sha256" in done.stderr.splitlines()[-1]
    finally:
        story.write_text(text)


@pytest.mark.lifecycle
def test_a_dataset_that_was_there_and_is_away_is_never_replaced(finished):
    with away(finished, finished.data):
        assert "is away, and epoch 005 left files in it" in one_line(finished.run("epoch", "run", "all", "--unattended", "x"))
        assert not finished.data.exists()


@pytest.fixture
def tracking(dfs):
    "The platform's tracking server, which other projects use as well"
    port, store = free_port(), dfs.root / "home" / "tracking.db"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}", "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1", "--artifacts-destination", str(dfs.root / "home" / "tracked")]
    with start_server([*as_another_user(), *command], port, "/health", dfs.env, wait_s=120) as server:
        yield server.url


@pytest.mark.lifecycle
def test_a_dfs_project_runs_to_002_on_the_platforms_tracking_server(dfs, tracking):
    import httpx2
    if not dfs.data.exists():
        assert dfs.run("mkdir", "-p", str(dfs.data)).returncode == 0
    done = dfs.run("epoch", "run", "1-2", "--force", "--unattended", "simulated Domino", MLFLOW_TRACKING_URI=tracking)
    assert done.returncode == 0, done.stderr[-3000:]
    found = httpx2.post(f"{tracking}/api/2.0/mlflow/experiments/search", json={"max_results": 9}, trust_env=False).json()
    assert "visits_data" in {item["name"] for item in found["experiments"]}
    assert (dfs.data / EPOCHS[1].folder / "data.parquet").is_file() and (dfs.code / "artifacts" / EPOCHS[1].folder).is_dir()
    assert dfs.data == dfs.root / "domino" / "datasets" / "local" / "visits"
    assert "not measured" in row(dfs.run("epoch", "doctor", "--json"), "price")["seen"]
