"""Imports only point down the floors, importing is cheap, and heavy libraries stay inside the functions that need them."""
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import epochkit

PACKAGE = Path(epochkit.__file__).parent

# Areas of one floor may not know each other; `models.frameworks` and the like count with their area.
FLOORS = [
    ["core"],
    ["record", "report"],
    ["lifecycle"],
    ["review", "sources"],
    ["cleaning"],
    ["synthetic"],
    ["planning"],
    ["wrangling", "exploration", "leaks", "features", "models"],
    ["validation", "serving", "retrospective"],
    ["runner"],
    ["lab"],
    ["project", "testing"],
    ["agents"],
    ["cli"],
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
HEAVY = {"openlineage", "skrub", "sqlalchemy", "openpyxl", "python_calamine", "torch", "tensorflow", "keras", "mlflow", "xgboost", "lightgbm", "statsmodels",
         "streamlit", "plotly", "matplotlib", "seaborn", "optuna", "papermill", "pandera", "nbconvert"}
LIGHT_FLOORS_ALSO_WITHOUT = {"pandas", "numpy", "scipy", "sklearn"}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if not {"tests", "templates"} & {*path.parts} and not path.name.startswith("_")]


def dotted(path: Path) -> str:
    "The module's name below the package"
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def area(name: str) -> str:
    return name.partition(".")[0]


def imported(path: Path, nested: bool) -> set[str]:
    "Absolute names of what a module imports; `nested` adds imports inside functions"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names, here = set(), ["epochkit", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[:len(here) + 1 - node.level], *([node.module] if node.module else [])]) if node.level else node.module
            names |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return names


def graph() -> dict[str, set[str]]:
    "Module -> modules of the package that it imports, anywhere"
    known = {dotted(path) for path in modules()}
    return {dotted(path): {name.removeprefix("epochkit.") for name in imported(path, nested=True)} & known - {dotted(path)} for path in modules()}


def test_every_area_has_its_floor():
    assert {area(dotted(path)) for path in modules()} == set(FLOOR_OF)


@pytest.mark.parametrize("name, below", graph().items(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_down(name, below):
    for other in below:
        if area(other) != area(name):
            assert FLOOR_OF[area(other)] < FLOOR_OF[area(name)], f"{name} imports {other}, which is on no lower floor"


def test_no_module_imports_itself_around_a_corner():
    edges, done, open_ones = graph(), set(), []

    def visit(name):
        assert name not in open_ones, f"circle: {' -> '.join([*open_ones[open_ones.index(name):], name])}"
        if name not in done:
            open_ones.append(name)
            for below in edges.get(name, ()):
                visit(below)
            open_ones.pop()
            done.add(name)
    for name in edges:
        visit(name)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    top = {name.split(".")[0] for name in imported(path, nested=False)}
    assert not top & HEAVY
    if FLOOR_OF[area(dotted(path))] <= FLOOR_OF["review"] and area(dotted(path)) != "sources":
        assert not top & LIGHT_FLOORS_ALSO_WITHOUT


def test_no_public_name_stands_twice():
    places: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                for name in ast.literal_eval(node.value):
                    places.setdefault(name, []).append(dotted(path))
    assert {name: found for name, found in places.items() if len(found) > 1 and name != "main"} == {}


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, epochkit, epochkit.cli; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ).stdout.split())
    assert not loaded & (HEAVY | LIGHT_FLOORS_ALSO_WITHOUT)
