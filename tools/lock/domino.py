"""What a project needs at run time on Domino, from the lock: python tools/lock/domino.py writes requirements-domino.txt of the kit's template.

Every line is a pin of the lock that a Linux machine needs, and nothing that only tests, checks or the build of an environment ask for.
"""
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from itertools import product
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "src" / "epochkit" / "templates" / "domino" / "requirements-domino.txt"
HEAD = """# What this project needs at run time on a Linux machine, pinned as in requirements.lock (which holds the hashes, and what tests need).
# Written by the kit. domino/environment.Dockerfile installs the same lines into the environment's image. By hand:
#   UV_TORCH_BACKEND=cpu uv pip install --system --no-deps -r requirements-domino.txt
"""
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[.+\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\\n]+))?", re.MULTILINE)
MACHINES = [{"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine,
             "implementation_name": "cpython", "python_version": version, "python_full_version": f"{version}.9"}
            for machine, version in product(("x86_64", "aarch64"), ("3.11", "3.12", "3.13"))]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def holds(marker: Marker | None, extra: str = "") -> bool:
    "Whether a marker is true on one of the Linux machines"
    return marker is None or any(marker.evaluate({**machine, "extra": extra}) for machine in MACHINES)


def asked(texts: Iterable[str], extras: Iterable[str] = ()) -> Iterator[Requirement]:
    "The requirements that hold on Linux, with these extras"
    for requirement in map(Requirement, texts):
        if any(holds(requirement.marker, extra) for extra in ("", *extras)):
            yield requirement


def closure(roots: Iterable[Requirement], excluded: set[str]) -> set[str]:
    "Normal names of all packages that `roots` need, by what the installed ones declare; what only other machines have may be absent"
    found: dict[str, set[str]] = {}
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = normal(requirement.name)
        if name in excluded or (name in found and found[name] >= requirement.extras):
            continue
        found[name] = found.get(name, set()) | requirement.extras
        try:
            waiting += asked(requires(name) or [], found[name])
        except PackageNotFoundError:
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                raise SystemExit(f"{name} is not installed, so nobody can tell what it needs: make env, then again") from None
    return set(found)


def runtime_roots() -> list[Requirement]:
    "What pyproject.toml declares for the kit and its runtime extras"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    inner, = re.findall(r"\[(.+)\]", project["optional-dependencies"]["all"][0])
    extras = [text for name in inner.split(",") for text in project["optional-dependencies"][name]]
    return list(asked([*project["dependencies"], *extras]))


def lines(lock: str) -> list[str]:
    "The pins of the lock that the run needs on Linux, with a marker where machines differ"
    excluded = {normal(line) for line in (ROOT / "tools" / "lock" / "excluded.txt").read_text().splitlines() if line and line[0] != "#"}
    needed, found = closure(runtime_roots(), excluded), []
    for pin in _PIN.finditer(lock):
        marker = Marker(pin["marker"].strip()) if pin["marker"] else None
        if normal(pin["name"]) in needed and holds(marker):
            everywhere = marker is None or all(marker.evaluate(machine) for machine in MACHINES)
            found.append(f"{pin['name']}=={pin['version']}" + ("" if everywhere else f" ; {marker}"))
    return sorted(found, key=str.lower)


def text() -> str:
    lock = (ROOT / "src" / "epochkit" / "templates" / "project" / "requirements.lock").read_text(encoding="utf-8")
    return HEAD + "\n".join(lines(lock)) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8", newline="\n")
    print(f"{TARGET.relative_to(ROOT)}: {len(text().splitlines()) - len(HEAD.splitlines())} packages")
