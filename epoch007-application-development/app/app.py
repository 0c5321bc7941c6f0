"""The dashboard: one prediction, a table of them, what the model is worth, and whether the world has moved."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from PIL import Image

from epochkit.core.errors import PipelineError, explain
from epochkit.core.project import room_value
from epochkit.core.settings import Settings, load_settings
from epochkit.report.figures import readable
from epochkit.serving.app import (AppData, checks_table, example_upload, load_app_data, metrics_table, relabelled,
                                  score_upload, shown_names)
from epochkit.serving.components import (answer_html, bars_html, card_html, grid_html, heading_html, load_style,
                                         marks_html, masthead_html, message_html, prediction_form, semantic_table_html)
from epochkit.serving.monitoring import Alarms, drift_table, monitor, rows_needed

st.set_page_config(page_title="Predictions", page_icon=Image.new("RGB", (32, 32), "#BAD2DE"), layout="wide")
load_style(st, Path(__file__).with_name("style.css"))
st.session_state.setdefault("history", [])


@st.cache_resource(ttl=300, show_spinner="Loading the model")
def app_data(_settings: Settings, home: str, stage: str, factory: str) -> AppData:
    return load_app_data(_settings, stage)


@st.cache_data(ttl=60, show_spinner=False)
def drift(_settings: Settings, home: str, answered: int) -> dict:
    return monitor(_settings, alarms=room_value(_settings, "monitoring", "ALARMS", Alarms()))


def show_header(data: AppData, stage: str) -> None:
    info, bundle = data.service.bundle.info, data.service.bundle
    project = (data.plan or {}).get("project") or {}
    title = project.get("use_case") or f"Predicting {bundle.target}"
    st.html(masthead_html(title, project.get("objective") or "") + marks_html(info) + grid_html([
        card_html("Model", info.get("framework") or info.get("model"),
                  f"version {bundle.version}, stage {info.get('stage') or stage}", "table"),
        card_html("Predicts", bundle.target, ", ".join(map(str, bundle.classes or ())) or "a number", "view"),
        card_html("Inputs", len(bundle.input_schema), "columns of raw data, as in the source", "materialized")]))


def show_single(settings: Settings, data: AppData) -> None:
    service, bundle = data.service, data.service.bundle
    st.html(heading_html("One prediction", "The fields hold an example. Change what you know and press Predict."))
    column_label = room_value(settings, "app_utils", "column_label", str)
    names = shown_names([column["name"] for column in bundle.input_schema], column_label)
    sent = prediction_form(st, relabelled(bundle.input_schema, names))
    if sent is None:
        return
    row = {name: sent[shown] for name, shown in names.items()}
    try:
        answer = service.predict(service.check([row]))[0]
    except PipelineError as error:
        st.html(message_html(str(error), "error", "This row cannot be scored"))
        return
    st.session_state["history"].append(answer)
    show_answer(settings, bundle, row, answer)


def show_answer(settings: Settings, bundle: Any, row: dict[str, Any], answer: dict[str, Any]) -> None:
    "The answer in this project's words, under a card of what was entered"
    word = lambda name: room_value(settings, "app_utils", name, lambda value: value)
    card = room_value(settings, "streamlit_components", "application_card", lambda row: "")
    positive = word("outcome_label")(bundle.positive) if bundle.task == "binary" else None
    shown = {**answer, "prediction": word("answer_label")(answer["prediction"])}
    st.html(card(row) + answer_html(shown, word("column_label")(bundle.target), positive, bundle.threshold))


def show_batch(data: AppData) -> None:
    service = data.service
    st.html(heading_html("Many predictions",
                         f"A CSV file in UTF-8 with a header line and up to {service.limits.rows:,} rows. "
                         "Further columns, such as an id, are kept and not used."))
    st.download_button("Download an example file", example_upload(service), "example.csv", "text/csv")
    upload = st.file_uploader("CSV file", type="csv", label_visibility="collapsed")
    if upload is None:
        return
    content = upload.getvalue()
    if st.session_state.get("scored_file") != upload.file_id:
        try:
            st.session_state["scored"] = score_upload(content, service)
        except PipelineError as error:
            st.html(message_html(str(error), "error", "This file cannot be scored"))
            return
        st.session_state["scored_file"] = upload.file_id
    scored = st.session_state["scored"]
    st.html(grid_html([card_html("Rows scored", len(scored), upload.name, "table"), *summary_cards(scored)]))
    st.dataframe(scored, hide_index=True, width="stretch", height=360)
    st.download_button("Download the predictions", scored.to_csv(index=False).encode(), "predictions.csv", "text/csv",
                       type="primary")


def summary_cards(scored: pd.DataFrame) -> list[str]:
    flagged = int((scored["warnings"] != "").sum())
    if scored["prediction"].dtype.kind in "iuf":
        middle = card_html("Mean prediction", scored["prediction"].mean(), "over all rows", "view")
    else:
        counts = scored["prediction"].value_counts()
        middle = card_html("Most frequent", counts.index[0], f"{counts.iloc[0]:,} of {len(scored):,} rows", "view")
    return [middle, card_html("Unusual rows", flagged, "outside what training saw", "materialized")]


def show_insight(data: AppData) -> None:
    st.html(heading_html("What the model is worth", "Measured once, on test rows that no earlier step has seen."))
    if data.test_report is None:
        st.html(message_html("Epoch 006 has not written its test report yet.", "info"))
    else:
        metrics = metrics_table(data.test_report, first=((data.plan or {}).get("metric") or {}).get("primary"))
        interval = lambda row: f"95 % interval {readable(row.low)} to {readable(row.high)}" if pd.notna(row.low) else ""
        cards = [card_html(row.metric, row.value, interval(row), colour)
                 for row, colour in zip(metrics.head(3).itertuples(), ("table", "view", "materialized"))]
        st.html(grid_html(cards) + "<h3>All metrics</h3>" + semantic_table_html(metrics))
        checks = checks_table(data.test_report)
        if len(checks):
            colours = {"pass": "positive", "fail": "negative"}
            mark = {i: colours.get(result, "") for i, result in enumerate(checks["result"])}
            st.html("<h3>Checks</h3>" + semantic_table_html(checks.astype(object).where(checks.notna(), None), mark))
    if data.importance:
        st.html("<h3>What it looks at</h3>" + bars_html(data.importance))


def show_monitoring(settings: Settings) -> None:
    st.html(heading_html("Has the world moved?",
                         "Served rows against the test rows. An alarm needs more than chance would give."))
    try:
        report = drift(settings, str(settings.home), len(st.session_state["history"]))
    except PipelineError as error:
        st.html(message_html(str(error), "info", "No reference yet"))
        return
    alerts, reference = report["alerts"], f"reference: {report['reference_rows']:,} rows"
    needed = "" if report["measured"] else f"{rows_needed(report)} rows are needed"
    st.html(grid_html([card_html("Served rows", report["rows"], reference, "table"),
                       card_html("Alarms", len(alerts), "features and scores", "warning" if alerts else "view"),
                       card_html("Measured", report["measured"], needed, "materialized")]))
    table = drift_table(report)
    marks = {i: "warning" for i, result in enumerate(table["result"]) if result == "drift"}
    st.html("".join(message_html(alert, "warning") for alert in alerts[:5]) + semantic_table_html(table, marks))


def show_history() -> None:
    st.html(heading_html("This session", "Each prediction can be followed to its source: epoch trace, then its id."))
    if not st.session_state["history"]:
        st.html(message_html("No prediction has been made in this session yet.", "info"))
        return
    table = pd.DataFrame(st.session_state["history"])[::-1]
    table["warnings"] = table["warnings"].map("; ".join)
    columns = ["prediction", "probability", "model_version", "inference_ms", "warnings", "prediction_id"]
    st.html(semantic_table_html(table[columns]))


settings = st.session_state.get("settings") or load_settings()
stage = st.session_state.get("stage") or os.environ.get("EPOCH_STAGE", "Production")
try:
    data = app_data(settings, str(settings.home), stage, os.environ.get("EPOCH_BUNDLE", ""))
except PipelineError as error:
    st.html(message_html(explain(error), "error", "There is no model to show"))
    st.stop()
show_header(data, stage)
tabs = ["One prediction", "Many predictions", "The model", "Monitoring", "History"]
single, batch, insight, monitoring, history = st.tabs(tabs)
with single:
    show_single(settings, data)
with batch:
    show_batch(data)
with insight:
    show_insight(data)
with monitoring:
    show_monitoring(settings)
with history:
    show_history()
