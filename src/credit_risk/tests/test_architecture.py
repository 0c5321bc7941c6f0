"""Imports only point down the floors, importing is cheap, and heavy libraries stay inside the functions that need them."""
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from credit_risk.config import load_settings

PACKAGE = load_settings(env={}).code_root / "src" / "credit_risk"

FLOORS = [
    ["error_handling", "nbtests", "design", "front_end", "signatures"],
    ["config", "artifact_files", "limited_process"],
    ["anchors", "checkpoints", "run_progress"],
    ["ledger", "views"],
    ["epoch_facts", "standing", "gates"],
    ["pipeline_state"],
    ["lineage", "resources", "tracking", "reporting", "notebook_html"],
    ["record_check", "approvals"],
    ["gate_card", "approval_panel", "terminal_review", "board"],
    ["brief", "table_source", "source_secrets", "value_columns", "copula"],
    ["file_bytes", "text_numbers", "text_layout", "value_forms", "personal_data"],
    ["column_roles", "text_files", "table_files", "cell_files", "excel_files", "web_requests", "web_address", "web_answers", "web_download"],
    ["file_sources", "database_source", "web_source"],
    ["synthetic_columns", "synthetic_layouts", "synthetic_panels", "synthetic_outcomes", "synthetic_domains", "synthetic_table"],
    ["data_sources", "synthetic_source"],
    ["cleaning_steps", "column_tally", "column_profile", "data_processing_utils"],
    ["source_contract", "data_profile"],
    ["planning"],
    ["estimates", "risks", "plan_figures", "plan_summary"],
    ["sentence_phrases", "sentence_wishes", "brief_sentence", "brief_fields", "brief_form"],
    ["splits"],
    ["data_quality", "data_contract", "part_tables", "lineage_events", "synthetic_twin", "data_loading_pipeline", "wrangling_gate", "wrangling_report"],
    ["associations", "relations", "measurements", "exploration", "gaps_and_outliers", "time_behaviour", "group_structure", "dates_and_texts",
     "leak_checks", "leak_copies", "leak_relations", "split_leaks", "leak_audit", "exploration_findings", "structure_findings", "feature_advice",
     "exploration_figures", "column_figures", "relation_figures", "structure_figures"],
    ["feature_encoders", "feature_makers", "feature_screen", "feature_history", "feature_engineering", "feature_gain", "feature_review",
     "feature_figures"],
    ["frameworks"],
    ["metrics"],
    ["kept_work", "model_utils", "tuning", "bundle", "model_figures", "model_handover", "model_gate"],
    ["validation"],
    ["local_server", "prediction_service", "serving", "monitoring", "streamlit_components", "app_utils", "deployment_files", "deployment"],
    ["retrospective"],
    ["custom"],
    ["notebook_run", "runner"],
    ["cli", "project_checks"],
    ["control_room"],
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
HEAVY = {"openlineage", "skrub", "sqlalchemy", "openpyxl", "torch", "tensorflow", "keras", "mlflow", "xgboost", "lightgbm", "statsmodels", "streamlit", "plotly", "matplotlib", "seaborn",
         "optuna", "papermill", "pandera", "nbconvert"}
LIGHT_FLOORS_ALSO_WITHOUT = {"pandas", "numpy", "scipy", "sklearn"}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "tests" not in path.parts and not path.name.startswith("_")]


def unit(path: Path) -> str:
    "The module, or the sub-package it belongs to"
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, nested: bool) -> set[str]:
    "Absolute names of what a module imports; `nested` adds imports inside functions"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if nested else tree.body
    depth, names = len(path.relative_to(PACKAGE).parts), set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = ["credit_risk", *path.relative_to(PACKAGE).parts[:-1]]
            base = ".".join([*here[:depth - node.level + 1], *([node.module] if node.module else [])]) if node.level else node.module
            names |= {base} if node.module else {f"{base}.{alias.name}" for alias in node.names}
    return names


def test_every_module_has_its_floor():
    assert {unit(path) for path in modules()} <= set(FLOOR_OF), "name new modules in FLOORS"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_imports_point_down(path):
    own = unit(path)
    for name in imported(path, nested=True):
        parts = name.split(".")
        if parts[0] == "credit_risk" and len(parts) > 1 and parts[1] in FLOOR_OF and parts[1] != own:
            assert FLOOR_OF[parts[1]] <= FLOOR_OF[own], f"{own} (floor {FLOOR_OF[own]}) imports {parts[1]} (floor {FLOOR_OF[parts[1]]})"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    top = {name.split(".")[0] for name in imported(path, nested=False)}
    assert not top & HEAVY
    if FLOOR_OF[unit(path)] <= FLOOR_OF["approvals"]:
        assert not top & LIGHT_FLOORS_ALSO_WITHOUT


def test_modules_of_one_floor_import_in_no_circle():
    graph = {}
    for path in modules():
        graph.setdefault(unit(path), set()).update(name.split(".")[1] for name in imported(path, nested=True)
                                                   if name.startswith("credit_risk.") and name.split(".")[1] != unit(path))
    done, open_ones = set(), []

    def visit(name):
        assert name not in open_ones, f"circle: {' -> '.join([*open_ones[open_ones.index(name):], name])}"
        if name not in done:
            open_ones.append(name)
            for below in graph.get(name, ()):
                visit(below)
            open_ones.pop()
            done.add(name)
    for name in graph:
        visit(name)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, credit_risk, credit_risk.cli; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ).stdout.split())
    assert not loaded & (HEAVY | LIGHT_FLOORS_ALSO_WITHOUT)
