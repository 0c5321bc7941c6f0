"""Every page of the app by Streamlit's own test frame, with good, dirty, empty and huge tables, each task, and the model of a finished project."""
import importlib.util
import json
import re

import numpy as np
import pandas as pd
import pytest

from epochkit.core.settings import load_settings
from epochkit.serving.app import app_path, example_upload
from epochkit.serving.dashboard import APP_PAGES
from epochkit.serving.service import PredictionService, served_bundle
from epochkit.serving.store.writer import TRIAL_VARIABLE
from epochkit.report.templates import template_text
from epochkit.testing.examples import ExampleBundle
from epochkit.tests.conftest import ROOT

HEADER = "income,debt ratio,home,married,since\n"


class App:
    "The app as one visitor has it"

    def __init__(self, settings, stage="Production"):
        from streamlit.testing.v1 import AppTest
        self.test = AppTest.from_file(str(app_path(settings)), default_timeout=300)
        self.test.session_state["settings"], self.test.session_state["stage"] = settings, stage

    def open(self, page):
        self.test.session_state["go_to"] = page
        return self.run()

    def run(self):
        self.test.run()
        assert not self.test.exception, [str(item.value) for item in self.test.exception]
        return self.html

    @property
    def html(self):
        return "\n".join(body for item in self.test.get("html") if not (body := item.proto.body).startswith("<style>"))

    def upload(self, name, content):
        self.test.file_uploader(key="table").set_value((name, content, "text/csv"))
        return self.run()


@pytest.fixture
def app(tmp_path, monkeypatch):
    "The example model in an empty home: no report, no record, no look"
    monkeypatch.setenv("EPOCH_BUNDLE", "epochkit.testing.examples:ExampleBundle")
    monkeypatch.setenv(TRIAL_VARIABLE, "1")
    return App(load_settings(home=tmp_path, env={}))


def test_each_page_opens_where_nothing_was_measured(app):
    for page in ("overview", *APP_PAGES):
        html = app.open(page)
        assert "No person has approved this model" in html and html.count('role="alert"') <= 2, page
        assert len(app.test.get("html")) < 20
    assert "Not measured" in app.open("performance") and "not on this machine" in app.open("lineage")
    assert "not measured" in app.open("overview") and "test_report" not in app.open("monitoring").replace("test_report.json", "")


def test_an_answer_stays_while_somebody_looks_at_another_page(app):
    app.open("predict")
    app.test.number_input(key="input_1").set_value(1.25)
    app.test.button(key="predict").click()
    html = app.run()
    assert "debt ratio = 1.25 (typical: 0.300) raises the" in html and "What to do next" in html and "answer card" in html
    app.open("monitoring")
    assert "answer card" in app.open("predict") and app.test.number_input(key="input_1").value == 1.25
    app.test.button(key="explain_it").click()
    html = app.run()
    assert "waterfall" in html and "+28.5 points" in html and "The last answer, id" in html
    changed = next(field for field in app.test.number_input if field.key.startswith("what_if_1"))
    changed.set_value(0.1)
    html = app.run()
    assert "-34.5 points" in html and "the answer turns" in html
    assert len(app.test.session_state["history"]) == 1


def test_a_session_keeps_a_bounded_history(app):
    app.open("predict")
    app.test.session_state["history"] = [{"prediction": "good", "probability": 0.1, "warnings": [], "model_version": "7", "inference_ms": 1.0,
                                          "prediction_id": str(n)} for n in range(200)]
    app.test.button(key="predict").click()
    app.run()
    assert len(app.test.session_state["history"]) == 200 and app.test.session_state["history"][0]["prediction_id"] == "1"


GOOD = HEADER + "40,0.3,rent,true,2024-05-01\n" * 3
DIRTY = HEADER + "forty,0.3,rent,maybe,\n40,,rent,true,\n=1+1,0.2,own,true,\n30,0.2,own,true,soon\n30,0.2,own,true,\n"


@pytest.mark.parametrize("name, content, told", [
    ("good.csv", GOOD.encode(), ("of 3 in good.csv", "Unusual rows")),
    ("semicolons.csv", GOOD.replace(",", ";").encode(), ("of 3 in semicolons.csv",)),
    ("pipes.txt", GOOD.replace(",", "|").encode("utf-16"), ("of 3 in pipes.txt",)),
    ("latin.csv", GOOD.replace("rent", "schloß").encode("latin-1"), ("of 3 in latin.csv",)),
    ("dirty.csv", DIRTY.encode(), ("Faulty cells: 5 in 4 rows", "of 5 in dirty.csv", ">forty<", ">maybe<", ">=1+1<", ">soon<")),
    ("header.csv", HEADER.encode(), ("no rows",)),
    ("empty.csv", b"", ("This file cannot be scored",)),
    ("other.csv", b"a,b\n1,2\n", ("lacks 5 of the 5 columns",)),
    ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0", ("This file cannot be scored",)),
    ("<b>.csv", GOOD.encode(), ("of 3 in &lt;b&gt;.csv",))], ids=lambda value: value if isinstance(value, str) else "")
def test_a_table_is_answered_or_told_why_not(app, name, content, told):
    app.open("batch")
    html = app.upload(name, content)
    assert all(words in html for words in told), html[-3_000:]
    if "of 3" in told[0]:
        assert len(app.test.dataframe[0].value) == 3
        app.open("overview")
        assert "of 3" in app.open("batch")


def test_a_file_that_is_taken_away_takes_its_answers_with_it(app):
    app.open("batch")
    assert "of 3 in good.csv" in app.upload("good.csv", GOOD.encode())
    assert "no rows" in app.upload("header.csv", HEADER.encode())
    app.test.file_uploader(key="table").set_value(None)
    assert "of 3" not in app.run()


def test_a_huge_table_is_answered_and_the_page_shows_a_part(app):
    rows, rng = 200_000, np.random.default_rng(0)
    table = pd.DataFrame({"income": rng.integers(0, 100, rows), "debt ratio": rng.random(rows).round(3), "home": rng.choice(["own", "rent"], rows),
                          "married": rng.random(rows) < 0.5, "since": "2024-05-01"})
    table["debt ratio"] = table["debt ratio"].astype(object).where(rng.random(rows) > 0.01, "n/k")
    app.open("batch")
    html = app.upload("huge.csv", table.to_csv(index=False).encode())
    wrong = int((table["debt ratio"] == "n/k").sum())
    assert f"of {rows:,} in huge.csv" in html and f"Faulty cells: {wrong:,} in {wrong:,} rows" in html
    assert len(app.test.dataframe[0].value) == 1_000 and len(html) < 600_000
    assert len(app.test.session_state["batch"]["scored"]) == rows


def test_the_example_file_is_one_that_the_page_takes(app):
    app.open("batch")
    assert "of 1 in example.csv" in app.upload("example.csv", example_upload(PredictionService(ExampleBundle())))


def test_what_nobody_knows_by_this_name_is_told(app):
    app.open("lineage")
    app.test.text_input(key="traced").set_value("no such <id>")
    assert "Nothing is known by this name" in app.run() and "no such &lt;id&gt;" in app.html


class House(ExampleBundle):
    "A model that answers with a number and what it may be"
    task, target, positive, classes, threshold = "regression", "price", None, [], None

    def score(self, frame):
        found = 200_000 + 1_000 * frame["income"].fillna(40) - 50_000 * frame["debt ratio"]
        return pd.DataFrame({"prediction": found, "prediction_low": found - 9_000, "prediction_high": found + 9_000}, index=frame.index)


class Grades(ExampleBundle):
    "A model of three classes"
    task, positive, classes, threshold = "multiclass", None, ["a", "b", "c"], None

    @property
    def model(self):
        return self

    def features(self, frame):
        return frame

    def predict_proba(self, frame):
        high = (frame["income"].fillna(40).to_numpy(float) / 100).clip(0.05, 0.9)
        return np.column_stack([high, (1 - high) * 0.6, (1 - high) * 0.4])

    def score(self, frame):
        sure = self.predict_proba(frame)
        return pd.DataFrame({"prediction": np.array(self.classes)[sure.argmax(axis=1)], "probability": sure.max(axis=1)}, index=frame.index)


@pytest.mark.parametrize("bundle, moved, told", [("House", "+20,000", "prediction_low"), ("Grades", "+20.0 points", "probability of")])
def test_a_number_and_many_classes_have_their_pages_too(tmp_path, monkeypatch, bundle, moved, told):
    monkeypatch.setenv("EPOCH_BUNDLE", f"epochkit.tests.test_app_pages:{bundle}")
    app = App(load_settings(home=tmp_path, env={}))
    app.open("predict")
    app.test.number_input(key="input_0").set_value(60.0)
    app.test.button(key="predict").click()
    html = app.run()
    assert "income = 60 (typical: 40) raises the" in html and ("between 236,000 and 254,000" in html or bundle == "Grades")
    html = app.open("explain")
    assert moved in html and "Not measured" in html.partition("The smallest change")[2]
    app.open("batch")
    app.upload("good.csv", GOOD.encode())
    assert told in app.test.dataframe[0].value or told in html
    for page in APP_PAGES:
        app.open(page)


def test_the_style_sheet_asks_no_other_server_and_covers_the_markup():
    spec = importlib.util.spec_from_file_location("semantic_tool", ROOT / "tools" / "semantic.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    sheets = template_text("semantic.css"), template_text("app.css")
    assert f"{tool.PACKAGE}," in sheets[0] and "The MIT License" in sheets[0] and not re.search(r"@import|url\(|@font-face", "".join(sheets))
    styled = {*re.findall(r"\.([a-z][\w-]*)", "".join(sheets))}
    assert tool.used_classes() - styled == {"shade-"}  # what follows it comes from Python
    assert {f"shade-{colour}" for colour in ("view", "materialized", "warning")} <= styled
    css = ".ui.card{a:b}.ui.red.card,.ui.card>.meta{c:d}@media (x){.ui.blue{e:f}.ui.card{g:h}}@font-face{i:j}.ui[class*=\"very odd\"].card{k:l}"
    assert tool.kept(css, {"ui", "card", "meta"}) == [".ui.card { a:b }", ".ui.card>.meta { c:d }", "@media (x) {", ".ui.card { g:h }", "}"]


@pytest.mark.lifecycle
def test_the_pages_show_what_a_finished_project_measured(copied_home, monkeypatch):
    monkeypatch.delenv(TRIAL_VARIABLE, raising=False)
    settings = load_settings(home=copied_home, env={})
    report = json.loads((settings.artifacts(6) / "test_report.json").read_text())
    app, bundle = App(settings), served_bundle(settings)
    assert f">{report['metrics']['roc_auc']['value']:.3f}<" in app.open("overview")
    html = app.open("performance")
    assert f"{report['decision_value']['policy']}" in html and f"{report['decision_value']['saved']['value']:,.0f} cost units" in html
    assert html.count('class="point"') == sum(group[rate] is not None and group[rate] == group[rate] for group in report["groups"]
                                              for rate in ("selection_rate", "opportunity"))
    app.open("predict")
    app.test.button(key="predict").click()
    app.run()
    answer = app.test.session_state["history"][-1]
    row = {column["name"]: column["example"] for column in bundle.input_schema}
    assert answer["probability"] == pytest.approx(bundle.score_raw([row])["probability"].iloc[0])
    html = app.open("explain")
    assert "turns at" in html and "Age" not in html.partition("The smallest change")[2]
    app.open("lineage")
    app.test.text_input(key="traced").set_value(answer["prediction_id"])
    for _ in range(50):
        if "Outcome" in app.run():  # the store's own thread writes
            break
    assert "not known yet" in app.html and "as recorded" in app.html and ">changed<" not in app.html
    app.test.button(key="outcome_sent").click()
    html = app.run()
    assert "Recorded:" in html and "not known yet" not in html and "Outcome: " in html
    app.open("card")
    assert "Model card: credit_risk" in "".join(item.value for item in app.test.markdown)
