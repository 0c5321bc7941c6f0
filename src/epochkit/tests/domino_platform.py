"""A Domino that is made of folders and variables: mounts under a temporary root, a dataset nobody may write, no git, and a user of its own."""
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import epochkit

SOURCES = Path(epochkit.__file__).parents[1]
EPOCH = str(Path(sys.executable).with_name("epoch"))
USER = 12574  # the number that Domino runs code under


@cache
def as_another_user() -> list[str]:
    """What stands before a command so that it runs under the platform's number, as one whom permissions bind

    A user namespace gives the number and takes the rights of root; without one, only the rights are taken, as far as this user has any.
    """
    code = ("import os, tempfile, epochkit\nwith tempfile.TemporaryDirectory() as folder:\n    os.chmod(folder, 0o555)\n"
            "    raise SystemExit(os.access(folder, os.W_OK))")
    look = [sys.executable, "-c", code]
    for words in (["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"],
                  ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]):
        if shutil.which(words[0]) and subprocess.run([*words, *look], env=os.environ | {"PYTHONPATH": str(SOURCES)}, capture_output=True).returncode == 0:
            return [str(shutil.which(words[0])), *words[1:]]
    return []


def programs_without_git(folder: Path) -> Path:
    "A folder with a link to every program of this system but git"
    folder.mkdir()
    for place in ("/usr/local/bin", "/usr/bin", "/bin"):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / program.name
            if not program.name.startswith("git") and not link.is_symlink():
                link.symlink_to(program)
    return folder


class Platform(NamedTuple):
    "One simulated run: its root, the variables that the platform sets, and the folders that they name"
    root: Path
    env: dict[str, str]
    code: Path
    data: Path
    artifacts: Path
    table: Path

    def run(self, *command: str, timeout_s: int = 1_800, typed: str | None = None, **env: str) -> subprocess.CompletedProcess:
        "What a command says that is typed in the project's folder, by the platform's user"
        line = [*as_another_user(), *(EPOCH if word == "epoch" else word for word in command)]
        return subprocess.run(line, cwd=self.code if self.code.is_dir() else self.root, env=self.env | env, capture_output=True, text=True,
                              timeout=timeout_s, input=typed or "")

    def events(self, kind: str) -> list[dict]:
        "The events of one kind in the record"
        lines = (self.code / ".context" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]


def make_platform(root: Path, git_based: bool, table: str) -> Platform:
    "The folders and variables of a run of this kind of project; the data root is not there yet"
    mnt = root / "mnt"
    code = mnt / "code" if git_based else mnt
    datasets = mnt / "data" if git_based else root / "domino" / "datasets"
    shared = (mnt / "imported" / "data" if git_based else root / "domino" / "datasets") / "clinic"
    data = datasets / "visits" if git_based else datasets / "local" / "visits"
    for folder in (mnt, root / "home", data.parent, shared, *([mnt / "artifacts"] if git_based else [])):
        folder.mkdir(parents=True, exist_ok=True)
    (shared / "patients.csv").write_text(table, encoding="utf-8")
    (shared / "patients.csv").chmod(0o444)
    shared.chmod(0o555)
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(programs_without_git(root / "bin"))]), "HOME": str(root / "home"),
        "USER": "ubuntu", "LOGNAME": "ubuntu", "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCES), "OMP_WAIT_POLICY": "PASSIVE",
        "MLFLOW_DISABLE_TELEMETRY": "true", "TMPDIR": str(root / "home"),
        "DOMINO_PROJECT_NAME": "visits", "DOMINO_PROJECT_OWNER": "clinic", "DOMINO_STARTING_USERNAME": "ada", "DOMINO_USER_NAME": "ada",
        "DOMINO_WORKING_DIR": str(code), "DOMINO_DATASETS_DIR": str(datasets), "DOMINO_IS_GIT_BASED": str(git_based).lower(),
        "DOMINO_RUN_ID": "66b1f0c2", "DOMINO_RUN_NUMBER": "7", "DOMINO_HARDWARE_TIER_ID": "small-k8s",
        "DOMINO_API_HOST": "http://nucleus-frontend.domino-platform", **({"DOMINO_ARTIFACTS_DIR": str(mnt / "artifacts")} if git_based else {}),
    }
    return Platform(root, env, code, data, mnt / "artifacts" if git_based else code / "artifacts", shared / "patients.csv")


def remove_platform(platform: Platform) -> None:
    "The folders, away; what may not be written is opened first"
    platform.table.parent.chmod(0o755)
    shutil.rmtree(platform.root, ignore_errors=True)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    "The file with each first text of a pair, which stands there once, replaced by the second"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{path.name} holds {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


FEW = """KEPT = ('dummy', 'linear', 'hist_gradient_boosting')\\n",
    "FRAMEWORKS_MAY_BE_ABSENT = {name: 'a fast test' for name in FRAMEWORKS_TO_TRY if name not in KEPT}\\n",
    "FRAMEWORKS_TO_TRY = KEPT"""


def settle(platform: Platform, app_port: int) -> None:
    "What the owner decides before the first run: a small budget, few frameworks, a port of the app, and a model that no person approves"
    edit(platform.code / "epoch001-research-analysis-planning" / "project_brief.toml", ('use_case = ""', 'use_case = "Plan visits"'),
         ("tuning_trials = 30", "tuning_trials = 2"), ("fit_seconds = 60", "fit_seconds = 10"))
    edit(platform.code / "settings.ini", ("unattended_production = false", "unattended_production = true"))
    edit(platform.code / "epoch005-model-development" / "notebooks" / "model_utils.ipynb", ("FRAMEWORKS_MAY_BE_ABSENT: dict[str, str] = {}", FEW))
    edit(platform.code / "epoch007-application-development" / "notebooks" / "deployment.ipynb", ("port=8000, ", f"port=8000, app_port={app_port}, "))
    done = platform.run(str(Path(EPOCH).with_name("nbdev_export")))
    assert done.returncode == 0, done.stderr
