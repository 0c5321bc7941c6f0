"""Every value of every claim of a finished project is computed again from its files, by other code than the kit's."""
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.ensemble import IsolationForest
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information
from sklearn.model_selection import StratifiedKFold

from epochkit.report.claims import Stated, contradictions, stated_claims

pytestmark = pytest.mark.lifecycle
NOT_YET = (
    "001 data_at_hand", "001 estimates", "001 plan_timeline", "001 risk_matrix",
    "002 correlation_preview", "002 missing_map", "002 missing_values", "002 numeric_distributions", "002 quality_summary",
    "002 target_distribution",
    "004 before_after", "004 feature_gain", "004 feature_importance", "004 made_correlation", "004 made_effect", "004 parts_alike",
    "004 scaled_features", "004 split",
    "005 all_models_comparison", "005 learning_curve", "005 top_10_models", "005 tuning_parameter_impact", "005 winner_on_validation",
    "006 adversarial", "006 behaviour", "006 calibration", "006 confusion", "006 cost_curve", "006 disturbances", "006 edge_cases",
    "006 error_by_bin", "006 groups", "006 importance", "006 lift", "006 robustness", "006 roc_and_precision", "006 segments",
    "007 alarm_power", "007 api_latency", "007 confidence_distribution", "007 drift_served", "007 drift_shifted",
    "008 resource_use", "008 timeline")
RECOMPUTES: dict[str, tuple[Callable, dict[str, float]]] = {}


def recomputes(epoch: str, *names: str, **within: float) -> Callable:
    "Registers what computes the values of a claim again; `within` is how far one of them may be off where chance is in it"
    def register(compute: Callable) -> Callable:
        for name in names:
            RECOMPUTES[f"{epoch} {name}"] = compute, within
        return compute
    return register


def project_of(home: Path) -> SimpleNamespace:
    "The files of a finished project: plan, tables, and a reader of what epochs wrote"
    folders = {path.name[5:8]: path for path in (home / "artifacts").glob("epoch*")}
    data = next((home / "data").iterdir())
    plan = json.loads(next(home.glob("epoch001*/project_plan.json")).read_text())
    target, positive = plan["data"]["target"], plan["data"]["positive"]
    table = pd.read_parquet(next(data.glob("epoch002*/data.parquet")))
    seen = pd.read_parquet(next(data.glob("epoch003*/eda_dataset.parquet")))
    split = pd.read_parquet(next(data.glob("epoch004*/engineered_features.parquet")), columns=["row_id", "split"])
    roles = {name: column["role"] for name, column in plan["columns"].items()}
    features = [name for name, role in roles.items()
                if role in ("numeric", "categorical", "boolean") and name not in plan["data"]["protected"]]
    return SimpleNamespace(
        home=home, plan=plan, table=table, seen=seen, target=target, positive=positive, bad=(seen[target] == positive).astype(float),
        split=split.set_index("row_id")["split"], features=features, numbers=[name for name in features if roles[name] == "numeric"],
        labels=[name for name in features if roles[name] != "numeric"], data=data, folders=folders,
        json=lambda epoch, name: json.loads((folders[epoch] / name).read_text()))


def correlation_ratio(values, groups):
    parts = [part for _, part in values.groupby(groups)]
    h, p = stats.kruskal(*parts)
    return math.sqrt(max(0.0, (h - len(parts) + 1) / (len(values) - len(parts)))), p


def cramers_v(a, b):
    table = pd.crosstab(a, b).to_numpy()
    chi2, p = stats.chi2_contingency(table, correction=False)[:2]
    n, (r, c) = table.sum(), table.shape
    phi2 = max(0.0, chi2 / n - (r - 1) * (c - 1) / (n - 1))
    return math.sqrt(phi2 / (min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1)), p


def with_target(p, name):
    "Effect and p-value of a feature with the target, its gaps included"
    column, y = p.seen[name], p.seen[p.target]
    gone = column.isna()
    if name in p.labels:
        return cramers_v(column.fillna("(missing)") if gone.sum() >= 5 else column[~gone], y if gone.sum() >= 5 else y[~gone])
    effect, chance = correlation_ratio(column[~gone], y[~gone])
    if gone.sum() < 5:
        return effect, chance
    gap, gap_chance = cramers_v(gone, y)
    share = p.bad[~gone].var(ddof=0) * (~gone).sum() / (p.bad.var(ddof=0) * len(y))
    return math.sqrt(gap ** 2 + share * effect ** 2), min(1, 2 * min(chance, gap_chance))


def clear_features(p):
    effects, chances = zip(*(with_target(p, name) for name in p.features))
    return np.array(effects), stats.false_discovery_control(chances)


def alone(p, name):
    "Cross-validated AUC of one column: the share of the positive class in its twentieths or labels, on unseen folds"
    column = p.seen[name]
    cells = column.astype(object).fillna("(missing)") if name in p.labels else pd.qcut(column, 20, duplicates="drop").cat.codes
    score = np.empty(len(column))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(cells, p.bad):
        rates = p.bad.iloc[train].groupby(cells.iloc[train].to_numpy()).mean()
        score[test] = cells.iloc[test].map(rates).fillna(p.bad.mean())
    return roc_auc_score(p.bad, score)


def wilson(hits, n):
    interval = stats.binomtest(int(hits), int(n)).proportion_ci(method="wilson")
    return hits / n, interval.low, interval.high


def rate(p, name, label):
    column = p.seen[name]
    if column.dtype.kind in "iuf" and column.nunique() > 10:
        low, high = map(float, label.split(" to "))
        inside = column.between(low, high)
    else:
        inside = column.astype(object).fillna("(missing)").astype(str) == label
    return wilson(p.bad[inside].sum(), inside.sum())


def outlier_shares(p):
    shares = {}
    for name in p.numbers:
        values = p.seen[name].dropna().to_numpy(float)
        low, high = np.percentile(values, [25, 75])
        mad = stats.median_abs_deviation(values)
        z = (values - np.median(values)) / (mad / 0.6745 if mad else 1.253314 * np.abs(values - np.median(values)).mean())
        shares[name] = int((((values < low - 1.5 * (high - low)) | (values > high + 1.5 * (high - low))) & (np.abs(z) > 3.5)).sum())
    return pd.Series(shares), pd.Series(shares) / p.seen[p.numbers].count()


def skewness(p):
    return p.seen[p.numbers].skew().abs().sort_values(ascending=False)


def odd(p):
    ranks = p.seen[p.numbers].rank(pct=True).fillna(0.5)
    order = sorted(p.numbers, key=lambda name: -with_target(p, name)[0])
    score = -IsolationForest(n_estimators=100, random_state=0).fit(ranks[order].to_numpy()).score_samples(ranks[order].to_numpy())
    far = (score - np.median(score)) / stats.median_abs_deviation(score) * 0.6745 > 3.5
    return far, (ranks - 0.5).abs().idxmax(axis=1)[far]


@recomputes("003", "glance")
def _(p, said):
    return {"all": len(p.features), "gappy": p.seen[p.features].isna().any().sum(), "skewed": (skewness(p) > 1).sum(),
            "many": (outlier_shares(p)[1] >= 0.01).sum(), "limit": 0.01}


@recomputes("003", "target_balance", "class_balance (finding)")
def _(p, said):
    found = {"share": p.bad.mean(), "naive": p.seen[p.target].value_counts(normalize=True).iloc[0], "rows": len(p.seen)}
    return {name: found[name] for name in said.values}


@recomputes("003", "target_associations", "strongest_features (finding)", "weak_features (finding)", alone=0.02)
def _(p, said):
    effects, q = clear_features(p)
    best = p.features[int(effects.argmax())]
    found = {"clear": ((effects >= 0.1) & (q < 0.05)).sum(), "weak": ((effects < 0.1) & (q > 0.05)).sum(),
             "tested": len(p.features), "all": len(p.features), "effect": effects.max(), "alone": alone(p, best)}
    assert said.words.get("name", best) == best
    return {name: found[name] for name in said.values}


@recomputes("003", "strongest_number", "leaks (finding)", alone=0.02)
def _(p, said):
    return {"alone": alone(p, said.words.get("name") or said.words["best"])}


def removed(p, name):
    "Share of the target's entropy that a number removes in tenths, its commonest values apart, less what chance would"
    edges = np.unique(np.percentile(p.seen[name].dropna(), range(10, 100, 10)))
    common = [edge for edge in edges if (p.seen[name] == edge).mean() >= 0.05]
    cells = np.searchsorted(edges, p.seen[name].fillna(math.inf)) * 2 + p.seen[name].isin(common) + 99 * p.seen[name].isna()
    chance = expected_mutual_information(contingency_matrix(p.bad, cells, sparse=True), len(p.bad))
    return (mutual_info_score(p.bad, cells) - chance) / stats.entropy([p.bad.mean(), 1 - p.bad.mean()])


@recomputes("003", "curves (finding)", information=0.002)
def _(p, said):
    bent = [name for name in p.numbers if removed(p, name) >= 0.01 and with_target(p, name)[0] < 0.1]
    return {"information": removed(p, said.words["name"]), "effect": with_target(p, said.words["name"])[0], "bent": len(bent)}


@recomputes("003", "by_target")
def _(p, said):
    middles = p.seen.groupby(p.target)[said.words["name"]].median()
    return {"high": middles[said.words["most"]], "low": middles[said.words["least"]]}


@recomputes("003", "category_rates", "category_rates (finding)", "protected (finding)")
def _(p, said):
    return {end: rate(p, said.words["name"], said.words[word]) for end, word in (("high", "most"), ("low", "least"))}


@recomputes("003", "protected")
def _(p, said):
    high, low = (rate(p, said.words["name"], said.words[word]) for word in ("most", "least"))
    return {"high": high, "low": low, "apart": high[0] - low[0]}


@recomputes("003", "missing_values", "informative_gaps (finding)")
def _(p, said):
    gone = p.seen[said.words["name"]].isna()
    return {"missing": p.bad[gone].mean(), "present": p.bad[~gone].mean()}


@recomputes("003", "missing_cells (finding)")
def _(p, said):
    shares = p.seen[p.features].isna().mean()
    return {"gappy": (shares > 0).sum(), "all": len(p.features), "share": shares.max()}


@recomputes("003", "missing_pattern")
def _(p, said):
    gone = p.seen[p.features].isna()
    alone_missing = gone[said.words["names"].split(", ")].all(axis=1) & (gone.sum(axis=1) == len(said.words["names"].split(", ")))
    return {"whole": (~gone.any(axis=1)).mean(), "gone": alone_missing.sum()}


@recomputes("003", "gap_mechanism (finding)")
def _(p, said):
    gappy = [name for name in p.features if p.seen[name].isna().sum() >= 10]
    tests = []
    for name in gappy:
        for other in (other for other in p.features if other != name):
            there = p.seen[other].notna()
            gone, column = p.seen.loc[there, name].isna(), p.seen.loc[there, other]
            if 5 <= gone.sum():
                tests.append((name, other, *(cramers_v(column, gone) if other in p.labels else correlation_ratio(column, gone))))
    tests = pd.DataFrame(tests, columns=["name", "other", "effect", "p"])
    best = tests.assign(q=stats.false_discovery_control(tests["p"])).sort_values("effect").groupby("name").tail(1)
    told = best[(best["q"] < 0.05) & (best["effect"] >= 0.1)]
    return {"told": len(told), "tested": len(gappy), "effect": told["effect"].max()}


@recomputes("003", "distributions", "skewed_numbers (finding)")
def _(p, said):
    found = {"skewed": (skewness(p) > 1).sum(), "all": len(p.numbers), "limit": 1,
             "skewness": p.seen[said.words["name"]].skew()}
    return {name: found[name] for name in said.values}


@recomputes("003", "outliers", "outliers (finding)")
def _(p, said):
    counts, shares = outlier_shares(p)
    found = {"many": (shares >= 0.01).sum(), "all": len(p.numbers), "limit": 0.01, "share": shares.max(),
             "both": counts[said.words["name"]]}
    return {name: found[name] for name in said.values}


@recomputes("003", "odd_rows", "odd_rows (finding)")
def _(p, said):
    far, outstanding = odd(p)
    found = {"odd": far.sum(), "all": len(far), "alone": (outstanding == said.words.get("name")).sum(),
             "inside": p.bad[far].mean(), "outside": p.bad[~far].mean()}
    return {name: found[name] for name in said.values}


@recomputes("003", "association_matrix")
def _(p, said):
    pairs = []
    for at, first in enumerate(p.features):
        for second in p.features[at + 1:]:
            both = p.seen[[first, second]].dropna()
            texts = p.seen[[first, second]].astype(object).fillna("(missing)")
            if first in p.labels and second in p.labels:
                pairs.append((first, second, *cramers_v(texts[first], texts[second])))
            elif first in p.labels or second in p.labels:
                label, number = (first, second) if first in p.labels else (second, first)
                there = p.seen[number].notna()
                pairs.append((first, second, *correlation_ratio(p.seen.loc[there, number], texts.loc[there, label])))
            else:
                rho, chance = stats.spearmanr(both[first], both[second])
                pairs.append((first, second, abs(rho), chance))
    table = pd.DataFrame(pairs, columns=["first", "second", "effect", "p"])
    clear = table["effect"][stats.false_discovery_control(table["p"]) < 0.05]
    assert {*table.loc[table["effect"].idxmax(), ["first", "second"]]} == {said.words["first"], said.words["second"]}
    return {"pairs": len(table), "strong": (clear >= 0.5).sum(), "weak": (clear >= 0.1).sum(), "limit": 0.5, "low": 0.1,
            "effect": table["effect"].max()}


@recomputes("003", "correlation_heatmap")
def _(p, said):
    both = p.seen[[said.words["first"], said.words["second"]]].dropna()
    return {"rho": stats.spearmanr(both).statistic}


@recomputes("003", "repeated_information (finding)")
def _(p, said):
    table = p.seen[p.numbers].fillna(p.seen[p.numbers].median())
    name = said.words["name"]
    x = np.column_stack([np.ones(len(table)), table.drop(columns=name)])
    rest = table[name] - x @ np.linalg.lstsq(x, table[name], rcond=None)[0]
    return {"vif": table[name].var() / rest.var()}


@recomputes("003", "pair_plot", rho=0.001)
def _(p, said):
    names = said.values["rho"]["of"].removeprefix("largest correlation among ").split(", ")
    rho = p.seen[names].corr("spearman").abs().to_numpy()
    return {"shown": len(names), "rho": rho[np.triu_indices(len(names), 1)].max()}


@recomputes("003", "interactive_pair")
def _(p, said):
    def corner(words):
        inside = pd.Series(True, p.seen.index)
        for half, name in (part.split(" ", 1) for part in words.split(" and ")):
            high = p.seen[name].rank(pct=True) > 0.5
            inside &= (high if half == "high" else ~high) & p.seen[name].notna()
        return p.bad[inside].mean()
    names = {name for word in ("where_most", "where_least") for name in re.findall(r"(?:high|low) (\S+)", said.words[word])}
    known = p.seen[[*names]].notna().all(axis=1)
    assert len(names) == 2 and known.any()
    return {"most": corner(said.words["where_most"]), "least": corner(said.words["where_least"])}


@recomputes("003", "row_order")
def _(p, said):
    count = int(said.values["stretches"]["value"])
    stretch = pd.Series(np.arange(len(p.seen)) * count // len(p.seen), p.seen.index)
    means = p.bad.groupby(stretch).mean()
    effect, chance = correlation_ratio(p.bad, stretch)
    return {"low": means.min(), "high": means.max(), "stretches": min(20, len(p.seen) // 30), "effect": effect, "p": chance}


@recomputes("003", "test_choice (finding)")
def _(p, said):
    tested = [name for name in p.numbers if p.seen[name].nunique() > 10]
    far = [name for name in tested if stats.normaltest(p.seen[name].dropna()).pvalue < 0.05 / len(tested)]
    ratios, chances = {}, []
    for name in tested:
        parts = [part.dropna() for _, part in p.seen.groupby(p.target)[name]]
        widths = [(part - part.median()).abs().mean() for part in parts]
        ratios[name] = max(widths) / min(widths)
        chances.append(stats.levene(*parts).pvalue)
    unequal = [name for name, q in zip(tested, stats.false_discovery_control(chances)) if q < 0.05 and ratios[name] > 1.5]
    found = {"far": len(far), "tested": len(tested), "unequal": len(unequal), "ratio": max(ratios[name] for name in unequal or tested)}
    return {name: found[name] for name in said.values}


@recomputes("003", "repeated_rows (finding)")
def _(p, said):
    part = p.seen["row_id"].map(p.split)
    texts = p.seen[p.features].astype(object).fillna("").astype(str).agg("|".join, axis=1)
    return {"equal": p.seen[[*p.features, p.target]].duplicated().sum(),
            "repeated": texts[part == "validation"].isin(texts[part == "train"]).sum()}


@pytest.fixture(scope="module")
def project(finished_home):
    return project_of(finished_home)


@pytest.fixture(scope="module")
def claims(project):
    return [said for said in stated_claims(project.home / "artifacts") if said.place not in NOT_YET]


def close(mine: float, theirs: float, within: float) -> bool:
    return math.isclose(float(mine), float(theirs), rel_tol=1e-6, abs_tol=within or 1e-9)


def wrong(said: Stated, project: SimpleNamespace) -> list[str]:
    "What is wrong with the values of a claim, one sentence each"
    if said.place not in RECOMPUTES:
        return [f"{said.place}: nobody recomputes {', '.join(said.values)}"]
    compute, within = RECOMPUTES[said.place]
    mine, faults = compute(project, said), []
    for name, value in said.values.items():
        parts = mine.get(name, math.nan)
        pairs = zip(parts, (value["value"], value.get("low"), value.get("high"))) if isinstance(parts, tuple) else [(parts, value["value"])]
        for ours, theirs in pairs:
            if theirs is None or not close(ours, theirs, within.get(name, 0.0)):
                faults.append(f"{said.place}: {name} ({value['of']}) is {theirs}, computed again {ours}")
        if not isinstance(parts, tuple) and value.get("low") is not None:
            faults.append(f"{said.place}: nobody recomputes the interval of {name}")
    return faults


def test_every_value_of_every_claim_is_what_other_code_computes(claims, project):
    assert [fault for said in claims if said.values for fault in wrong(said, project)] == []


def test_every_number_in_a_claim_is_a_value(claims, project):
    names = {*map(str, project.table.columns), *(str(label) for name in project.labels for label in project.table[name].unique())}
    bare = []
    for said in claims:
        rest = said.text
        known = " ".join([*names, *(value["of"] for value in (said.values or {}).values())])
        for text in sorted([*(value["text"] for value in (said.values or {}).values()),
                            *(word for word in said.words.values() if word in known)], key=len, reverse=True):
            rest = rest.replace(text, " ") if text else rest
        if re.search(r"\d", re.sub(r"95 % interval|epoch 00\d|R²", "", rest)):
            bare.append(f"{said.place}: {rest}")
    assert bare == []


def test_the_list_of_claims_without_values_only_shrinks(project):
    converted = {said.place for said in stated_claims(project.home / "artifacts") if said.values}
    assert sorted(converted & {*NOT_YET}) == []


def test_no_two_places_give_one_thing_two_values(project):
    assert contradictions(stated_claims(project.home / "artifacts")) == []
