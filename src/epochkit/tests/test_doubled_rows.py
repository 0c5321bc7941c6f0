"""A table in which every row stands twice knows no more: no interval of 003, 005 or 006 is narrower on it, by whatever way it is made."""
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from epochkit.exploration.associations import associations
from epochkit.exploration.columns import rates_by_label
from epochkit.exploration.explore import explore, spreads
from epochkit.exploration.missing_and_outliers import missingness
from epochkit.exploration.relations import pair_associations
from epochkit.exploration.time import outcome_over_time
from epochkit.leaks.audit import audit_plan
from epochkit.models.candidates import all_together, bench, judge_of, judged, train_candidate
from epochkit.models.figures import bias_claim
from epochkit.models.fold_figures import error_figure, fold_importance, mistakes_figure
from epochkit.models.folds.blend import ProbabilityScale
from epochkit.models.folds.coverage import Coverage
from epochkit.models.folds.final import Composition, Member
from epochkit.models.folds.fold_fits import Ties
from epochkit.models.frameworks.base import frameworks_for
from epochkit.planning.units import drawn_together
from epochkit.tests.test_models_figures import data_and_plan
from epochkit.tests.test_validation_adversarial import loans  # noqa: F401 (a fixture)
from epochkit.validation.adversarial import shift_losses
from epochkit.validation.explanation import global_importance
from epochkit.validation.fairness import analyse_fairness
from epochkit.validation.functional import (calibration_gap, calibration_table, coverage_measured, decision_value,
                                            lift_table)
from epochkit.validation.input_ranges import answers_by_range
from epochkit.validation.overfit_checks import Evidence
from epochkit.validation.report import baseline_metrics, bundle_output, metrics_on, robustness
from epochkit.validation.rule_gain import gain_over_rule
from epochkit.models.figures import errors_by_size
from epochkit.validation.segments import errors_by_bin, find_segments, row_losses


@pytest.fixture(scope="module")
def tested(loans):  # noqa: F811
    "Test rows of 006 once and twice: plan, bundle, rows, codes, output, what is drawn together"
    bundle, frame, plan, *_ = loans
    data = plan.data.model_copy(update={"protected": ["home"]})
    plan = plan.model_copy(update={"feature_columns": ["income", "home", "noise"], "data": data})

    def of(rows):
        y = (rows["Status"] == "bad").astype(int).to_numpy()
        return SimpleNamespace(plan=plan, bundle=bundle, rows=rows, y=y, output=bundle_output(bundle, rows),
                               together=drawn_together(rows, plan))
    twice = pd.concat([frame, frame], ignore_index=True).assign(row_id=range(800))
    return of(frame), of(twice)


def widths(table, *ends):
    "What lies between the ends of each row of a table"
    return np.concatenate([(table[high] - table[low]).to_numpy(float) for low, high in ends or [("low", "high")]])


def losses(at):
    return row_losses(at.y, at.output, 0.5, at.plan)[0]


def slices(at):
    found = find_segments(losses(at), at.rows, ["income", "home", "noise"], together=at.together).sort_values("slice")
    return np.r_[widths(found), found["p"], found["q"], found["sure_difference"]]


def ranges(at):
    table = answers_by_range(at.y, at.output, 0.5, at.rows, ["income", "home"], at.plan)
    return np.r_[widths(table, ("low", "high"), ("loss_low", "loss_high")), table["q"]]


def fair(at):
    groups = pd.DataFrame(analyse_fairness(at.y, at.output, 0.5, at.rows, at.plan)["attributes"][0]["groups"])
    return widths(groups, ("selection_rate_low", "selection_rate_high"), ("opportunity_low", "opportunity_high"))


def explained(at):
    values = np.column_stack([at.output[:, 1], at.rows["income"].fillna(100) / 100, at.rows["noise"]])
    codes = None if at.together is None else pd.Series(at.together, at.rows["row_id"])
    return widths(global_importance(at.bundle, {"values": values, "explained": at.rows["row_id"]}, codes))


def covered(at):
    found = coverage_measured(Coverage(0.9, (30.0,), 500), at.rows["income"].fillna(100).to_numpy(), np.full(len(at.y), 100.0),
                              at.together)
    return np.array([found["high"] - found["low"]])


EXACT = {
    "the worst slices": slices, "ranges of inputs": ranges, "groups": fair, "what the scores follow": explained,
    "coverage": covered,
    "errors by slice": lambda at: widths(errors_by_bin(losses(at), at.rows["income"], at.together)),
    "lift": lambda at: widths(lift_table(at.y, np.round(at.output[:, 1], 1), 1, at.together)),
    "calibration": lambda at: widths(calibration_table(at.y, at.output[:, 1], at.together)),
    "bias": lambda at: (lambda value: np.array([value.high - value.low]))(
        bias_claim(at.output[:, 1], at.output[:, 1] - at.y, "", "test rows", together=at.together).values["bias"]),
    "errors by predicted size": lambda at: errors_by_size(at.output[:, 1], at.output[:, 1] - at.y, at.together)["sem"],
    "labels of 003": lambda at: widths(rates_by_label(at.rows["home"], pd.Series(at.y.astype(float)), together=(
        None if at.together is None else pd.Series(at.together)))),
    "time of 003": lambda at: widths(outcome_over_time(at.rows["row_id"] % 400, at.rows["noise"], (
        None if at.together is None else pd.Series(at.together)))[0]),
}


def groups_apart(at):
    return {name: found for item in analyse_fairness(at.y, at.output, 0.5, at.rows, at.plan)["attributes"]
            for name, found in item["measures"].items()}.values()


def ends(found):
    return np.array([one["high"] - one["low"] for one in found])


def against_candidates(at):
    said = pd.DataFrame({"row_id": at.rows["row_id"], "target": at.y, "linear": at.output[:, 1], "xgboost": 1 - at.output[:, 1]})
    comparison = {"best_framework": "linear", "models": [{"framework": name, "status": "trained", "threshold": 0.5}
                                                         for name in ("linear", "xgboost")]}
    codes = None if at.together is None else pd.Series(at.together, at.rows["row_id"])
    return np.array([np.std(value[1:]) for value in Evidence(at.plan, comparison=comparison, predictions=said,
                                                             together=codes).resampled.values()])


# where chance disturbs the copies of a row apart, more of it is averaged: only what is no such chance is compared here
DRAWN = {
    "metrics": lambda at: ends([metrics_on(at.bundle, at.rows, at.plan)[name] for name in ("roc_auc", "log_loss", "f1")]),
    "the baseline": lambda at: ends([baseline_metrics(at.y, at.rows, at.plan)[name] for name in ("accuracy", "expected_cost")]),
    "robustness": lambda at: ends(robustness(at.bundle, at.rows, at.plan, 0.5, (0.5,), draws=40)),
    "more rows of one kind": lambda at: ends(sorted(shift_losses(at.bundle, at.rows, at.plan, at.y),
                                           key=lambda row: (row["column"], row["what"]))),
    "differences of groups": lambda at: ends(groups_apart(at)),
    "the worth of decisions": lambda at: ends([decision_value(at.y, at.output, 0.5, at.plan, together=at.together)[name]
                                               for name in ("model", "saved")]),
    "the gain over today's rule": lambda at: ends([gain_over_rule(
        at.plan, at.y, (at.output, 0.5), (np.column_stack([1 - at.rows["noise"], at.rows["noise"]]).clip(0.01, 0.99), 0.5, "rule"), at.together)]),
    "what chance makes of the calibration": lambda at: np.array([calibration_gap(
        at.y, at.output[:, 1], 400, together=at.together)["by_chance"]]),
    "candidates on the validation rows": against_candidates,
}


@pytest.mark.parametrize("kind", EXACT)
def test_an_interval_that_is_computed_is_the_same_on_doubled_rows(kind, tested):
    once, twice = map(EXACT[kind], tested)
    assert len(once) and np.nanmax(once) > 0 and np.asarray(twice) == pytest.approx(np.asarray(once), nan_ok=True)


@pytest.mark.parametrize("kind", DRAWN)
def test_an_interval_that_is_drawn_is_as_wide_on_doubled_rows(kind, tested):
    once, twice = map(DRAWN[kind], tested)
    assert len(once) == len(twice) and once.min() > 0
    assert np.median(twice / once) == pytest.approx(1, abs=0.12) and (twice / once).min() > 0.8
    alone = SimpleNamespace(**vars(tested[1]) | {"together": None, "plan": tested[1].plan.model_copy(update={"feature_columns": []})})
    assert np.median(DRAWN[kind](alone) / once) < 0.85, "were rows drawn one by one, it would be narrower by a third"


def doubled(data):
    "Training and validation rows that stand twice, the copies of a row in one fold"
    rows, late = len(data.y), len(data.y_validation)

    def both(places):
        return np.concatenate([places, places + rows])
    return data._replace(
        X=pd.concat([data.X] * 2, ignore_index=True), y=np.tile(data.y, 2), X_validation=pd.concat([data.X_validation] * 2, ignore_index=True),
        y_validation=np.tile(data.y_validation, 2), groups=np.tile(np.arange(rows), 2),
        folds=tuple((both(learn), both(answer)) for learn, answer in data.folds), ties=Ties(validation=np.tile(np.arange(late), 2)))


@pytest.mark.parametrize("task, primary", [("binary", "roc_auc"), ("regression", "rmse")])
def test_intervals_of_005_are_as_wide_on_doubled_rows(task, primary):
    data, plan = data_and_plan(task, primary, rows=320)
    with bench(data, plan) as at:
        best = train_candidate(frameworks_for(task)["linear"], at)
    one = best.out_of_fold[:len(data.y)]
    found = [judged(answers, output, rows, plan) for answers, output, rows in (
        (best.out_of_fold, best.output, data),
        (np.concatenate([np.concatenate([part, part]) for part in np.split(best.out_of_fold, data.deals)]),
         np.concatenate([best.output] * 2), doubled(data)))]
    for part in ("metrics", "validation"):
        once, twice = (item[part][primary] for item in found)
        assert (twice["high"] - twice["low"]) / (once["high"] - once["low"]) == pytest.approx(1, abs=0.15), part
    scores = [judge_of(rows, plan).scores(answers) for rows, answers in (
        (data, best.out_of_fold), (doubled(data), np.concatenate([np.concatenate([part, part]) for part in np.split(best.out_of_fold, data.deals)])))]
    assert np.std(scores[1][1:]) / np.std(scores[0][1:]) == pytest.approx(1, abs=0.1)
    assert len(one) == len(data.y) and len(np.unique(all_together(doubled(data)))) == len(data.y) + len(data.y_validation)
    said = [(mistakes_figure if task == "binary" else error_figure)(best._replace(out_of_fold=answers), rows, plan)[1] for answers, rows in (
        (one, data._replace(folds=data.folds[:5])), (np.concatenate([one, one]), doubled(data._replace(folds=data.folds[:5]))))]
    told = [text.values["right"] if task == "binary" else text.values["bias"] for text in said]
    assert told[1].high - told[1].low == pytest.approx(told[0].high - told[0].low)


def test_what_shuffling_costs_over_the_folds_is_as_sure_on_doubled_rows():
    data, plan = data_and_plan("binary", "roc_auc", rows=320)
    with bench(data, plan) as at:
        best = train_candidate(frameworks_for("binary")["linear"], at)
    single, member = Composition({"linear": 1.0}, ProbabilityScale(), None, ""), Member("linear", {}, best.out_of_fold, best.output)
    tables = [fold_importance(best, single, {"linear": member}, rows, plan, 60).table.set_index("feature").loc["a"]
              for rows in (data, doubled(data), doubled(data)._replace(groups=None))]
    once, twice, alone = (table["high"] - table["low"] for table in tables)
    assert twice / once > 0.8 and alone / once < 0.85


def test_003_draws_equal_rows_together(tested):
    once, twice = tested
    found = [explore(at.rows.drop(columns="row_id"), at.plan) for at in tested]
    assert found[0].together is None and len(found[1].together.unique()) == len(once.rows)
    protected = [item.protected for item in found]
    assert widths(protected[1]) == pytest.approx(widths(protected[0]))
    assert len(twice.rows) == 2 * len(once.rows)


KINDS = {"income": "number", "noise": "number", "home": "category"}
TESTS_OF_003 = {"associations": (associations, ["column"]), "pairs": (pair_associations, ["first", "second"]),
                "spreads": (spreads, ["column"]), "missing": (missingness, ["column"])}


@pytest.mark.parametrize("name", TESTS_OF_003)
def test_a_p_value_of_003_is_the_same_on_doubled_rows(name, tested):
    asked, keys = TESTS_OF_003[name]
    same, doubled, alone = (each.set_index(keys).sort_index() for each in _tables(asked, name, tested))
    assert len(same) >= 2 and doubled["q_value"].to_numpy(float) == pytest.approx(same["q_value"].to_numpy(float), rel=0.25, abs=0.01)
    open_ones = same["q_value"].astype(float) > 1e-4
    assert (alone["q_value"].astype(float)[open_ones] < same["q_value"].astype(float)[open_ones]).any()
    if "effect" in same:
        assert doubled["effect"].to_numpy() == pytest.approx(same["effect"].to_numpy(), abs=0.03)


def _tables(asked, name, tested):
    "The table of rows once, twice, and twice without a word that they are equal"
    for at, together in zip((*tested, tested[1]), (None, tested[1].together, None)):
        rows = at.rows.assign(income=at.rows["income"].where(np.arange(len(at.rows)) % 400 % 7 != 0),
                              noise=at.rows["noise"].where(np.arange(len(at.rows)) % 400 % 5 != 0))
        of = None if together is None else pd.Series(together, rows.index)
        yield asked(rows, KINDS, **({} if name == "pairs" else {"plan": at.plan}), together=of)


def test_the_score_of_a_column_alone_is_as_sure_on_doubled_rows(tested):
    once, twice = (audit_plan(at.rows, at.plan, KINDS, pd.Series("train", at.rows.index))["single_column_intervals"] for at in tested)
    assert len(once) == 3 and all(np.ptp(twice[name]) == pytest.approx(np.ptp(ends), rel=0.2) for name, ends in once.items())


def test_few_units_are_not_measured(tested):
    once, _ = tested
    few = np.arange(len(once.y)) % 20
    assert find_segments(losses(once), once.rows, ["income", "home"], together=few).empty
    assert len(errors_by_bin(losses(once), once.rows["income"], np.arange(len(once.y)) % 8)) == 0
    grouped = once.plan.model_copy(update={"data": once.plan.data.model_copy(update={"group": "unit"})})
    rows = once.rows.assign(unit=few)
    item, = analyse_fairness(once.y, once.output, 0.5, rows, grouped)["attributes"]
    assert {measure["value"] for measure in item["measures"].values()} == {None}
    assert answers_by_range(once.y, once.output, 0.5, rows.assign(unit=np.arange(len(rows)) % 8), ["income", "home"], grouped).empty
