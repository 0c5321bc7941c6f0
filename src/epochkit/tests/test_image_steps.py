"""What the Dockerfile of epoch 007 does, done here: no container engine is at hand, so its steps run one by one in a folder that stands for the image's root."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from epochkit.core.settings import load_settings
from epochkit.serving.server import free_port

pytestmark = pytest.mark.lifecycle
ROOT = load_settings(env={}).code_root
OURS = re.compile(r"/(?:venv|build|app|home/service|tmp/matplotlib)\b")


class Stage:
    "A stage of a Dockerfile: folders, environment and command, those of the stage that it begins with among them"

    def __init__(self, root: Path, begins_with: "Stage | None" = None):
        self.root, self.folder = root, begins_with.folder if begins_with else "/"
        self.env, self.command = dict(begins_with.env) if begins_with else {}, list(begins_with.command) if begins_with else []
        root.mkdir()
        if begins_with:
            shutil.copytree(begins_with.root, root, dirs_exist_ok=True, symlinks=True, copy_function=os.link)

    def here(self, text: str) -> str:
        "Paths of the image as paths below this stage's root"
        return OURS.sub(lambda found: f"{self.root}{found[0]}", text)

    def copy(self, source: Path, names: list[str], target: str) -> None:
        place = self.root / (target if target.startswith("/") else f"{self.folder}/{target}").lstrip("/")
        for name in names:
            found = source / name.lstrip("/")
            folder = found.is_dir() or not target.endswith("/")
            target_path = place if folder else place / found.name
            target_path.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                own = found.is_relative_to(self.root.parent)
                shutil.copytree(found, target_path, dirs_exist_ok=True, symlinks=True, copy_function=os.link if own else shutil.copy2,
                                ignore=None if own else shutil.ignore_patterns("__pycache__", "tests"))
            else:
                shutil.copyfile(found, target_path)

    def run(self, line: str) -> None:
        "The steps with uv; apt-get and useradd are the host's here"
        for step in line.split("&&"):
            words = self.here(step).split()
            if words[0] == "uv":
                subprocess.run([str(Path(sys.executable).with_name("uv")), *words[1:]], check=True, cwd=self.root / self.folder.lstrip("/"),
                               env={**os.environ, **{name: self.here(value) for name, value in self.env.items()}, "PATH": os.environ["PATH"]})

    def environment(self, **more: str) -> dict[str, str]:
        "The environment of a container: the image's own and nothing of this project"
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("EPOCH_", "PYTHON", "VIRTUAL_ENV", "MLFLOW"))}
        image = {name: self.here(value).replace("$PATH", os.environ["PATH"]) for name, value in self.env.items()}
        return {**outside, **image, "HOME": f"{self.root}/home/service", "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def build(file: Path, context: Path, deployment: Path, root: Path, wanted: tuple[str, ...]) -> dict[str, Stage]:
    "The stages `wanted` with those that they need, built step by step"
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#")))
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.M)[1:]
    steps = {name: (begins, body) for begins, name, body in zip(parts[::3], parts[1::3], parts[2::3])}
    made: dict[str, Stage] = {}

    def stage(name: str) -> Stage:
        if name in made:
            return made[name]
        begins, body = steps[name]
        one = made[name] = Stage(root / name, None if begins == "${BASE}" else stage(begins))
        for line in filter(None, body.splitlines()):
            word, _, rest = line.partition(" ")
            if word == "COPY":
                options, words = [w for w in rest.split() if w.startswith("--")], [w for w in rest.split() if not w.startswith("--")]
                source = next((o.partition("=")[2] for o in options if o.startswith("--from=")), "")
                one.copy(deployment if source == "deployment" else stage(source).root if source else context, words[:-1], words[-1])
            elif word == "ENV":
                one.env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            elif word == "WORKDIR":
                one.folder = rest
                (one.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif word == "CMD":
                one.command = json.loads(rest)
            elif word == "RUN":
                one.run(rest)
        return one
    return {name: stage(name) for name in wanted}


def answered(url: str, process: subprocess.Popen, seconds: float = 60) -> bytes:
    "The answer as soon as there is one; the process must live until then"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"no answer from {url}")


@pytest.fixture(scope="module")
def images(finished_home, tmp_path_factory):
    "The image of the API and that of the app"
    deployment = next(finished_home.glob("artifacts/epoch007*/deployment"))
    return build(deployment / "Dockerfile", ROOT, deployment, tmp_path_factory.mktemp("image"), ("api", "app")), deployment


def packages_of(image: Stage) -> set[str]:
    listed = subprocess.run([str(Path(sys.executable).with_name("uv")), "pip", "list", "--format", "json", "--python", f"{image.root}/venv/bin/python"],
                            capture_output=True, text=True, check=True).stdout
    return {one["name"] for one in json.loads(listed)}


def test_the_api_starts_from_its_image_and_knows_the_known_row(images):
    stages, deployment = images
    api, port = stages["api"], str(free_port())
    command = [port if word == "8000" else word for word in api.command]
    process = subprocess.Popen([f"{api.root}/venv/bin/python", *command[1:]], cwd=f"{api.root}/app", env=api.environment(API_KEY="smoke"),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        answered(f"http://127.0.0.1:{port}/ready", process)
        asked = subprocess.run([sys.executable, deployment / "smoke_test.py", f"http://127.0.0.1:{port}"], env={**os.environ, "API_KEY": "smoke"},
                               capture_output=True, text=True)
        assert asked.returncode == 0 and ": ok" in asked.stdout, asked.stdout + asked.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert not packages_of(api) & {"streamlit", "mlflow", "jupyterlab", "pip"}


def test_the_app_starts_from_its_image_and_its_watch_looks(images):
    stages, _ = images
    app, port = stages["app"], str(free_port())
    command = [word.replace("8888", port) for word in app.command]
    process = subprocess.Popen([f"{app.root}/venv/bin/python", *command[1:]], cwd=f"{app.root}/app", env=app.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert answered(f"http://127.0.0.1:{port}/_stcore/health", process) == b"ok"
    finally:
        process.terminate()
        process.communicate(timeout=30)
    looked = subprocess.run([f"{app.root}/venv/bin/python", "-m", "epochkit.cli", "monitor", "--every", "day", "--json"], cwd=f"{app.root}/app",
                            env=app.environment(), capture_output=True, text=True)
    assert looked.returncode == 0 and json.loads(looked.stdout)["every"] == "day", looked.stderr
    assert list(Path(app.root).glob("home/service/project/data/*/epoch007*/monitoring/looks.jsonl"))
