"""How often a look rings although nothing changed, and how soon it finds what did; writes monitoring.json.

    .venv/bin/python benchmarks/monitoring.py [--home HOME] [--quiet 1000] [--replays 50]     about 15 minutes

Takes the model and the test rows of a finished home (default: this repository). Each replay cuts the test rows in two by chance: one half is
the reference, as epoch 006 writes it, the other half is served, with its outcomes. Nothing of it is in both, so a look that rings on a quiet
half is a false alarm. In a scenario the served half is changed, and looks follow each other until one rings: how many that took is the delay.
"""
import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from epochkit.core.settings import load_settings
from epochkit.planning.plan import load_plan
from epochkit.serving.monitoring import Alarms, Served, reference_profile
from epochkit.serving.service import served_bundle
from epochkit.serving.store.predictions import Window
from epochkit.serving.watch.budget import LOOKS_A_QUARTER, Budget
from epochkit.serving.watch.look import examined_model, look_at

MOST_LOOKS_A_QUARTER = 10


def served(bundle, reference: dict, rows: pd.DataFrame, outcomes: list | None, version: str, refused: int = 0) -> Served:
    "The rows as if they had been answered, with their outcomes where there are some"
    scored = bundle.score(rows)
    entries = [{"time": "2026-11-29", "inputs": {}, "prediction": said, "probability": sure, "label": label}
               for said, sure, label in zip(scored["prediction"], scored["probability"], outcomes or [None] * len(rows))]
    frame = rows[bundle.input_columns].reset_index(drop=True)
    return Served(Window(version), entries, frame, scored.reset_index(drop=True), {"x": refused} if refused else {}, {}, reference)


def scenarios(plan, importance: dict[str, float]) -> dict:
    "Name -> what it makes of the served rows with their target: rows, outcomes known, rows refused"
    target, positive = plan.data.target, plan.data.positive

    def more_positives(rows, random):
        is_one = (rows[target].astype(str) == positive).to_numpy()
        others = random.permutation(np.flatnonzero(~is_one))[:round(is_one.sum() * 0.58 / 0.42)]
        return rows.iloc[random.permutation(np.concatenate([np.flatnonzero(is_one), others]))]

    def numbers(rows):
        return [name for name in rows if rows[name].dtype.kind in "if" and name not in (target, "row_id") and rows[name].nunique() > 10]

    def moved(rows, deviations):
        name = max(numbers(rows), key=lambda one: importance.get(one, 0))
        return rows.assign(**{name: rows[name] + deviations * rows[name].std()})

    def with_gaps(rows, random):
        name = numbers(rows)[-1]
        return rows.assign(**{name: rows[name].astype(float).where(random.random(len(rows)) > 0.25)})

    def untied(rows, random):
        return rows.assign(**{name: random.permutation(rows[name].to_numpy()) for name in numbers(rows)})

    def turned(rows, random):
        return [label if keep else next(name for name in plan.data.classes if name != label)
                for label, keep in zip(rows[target].astype(str), random.random(len(rows)) > 0.2)]
    outcomes = lambda rows: rows[target].astype(str).tolist()
    return {
        "quiet, with outcomes": lambda rows, random: (rows, outcomes(rows), 0),
        "quiet, no outcomes": lambda rows, random: (rows, None, 0),
        "positives 28 to 42 %, no outcomes": lambda rows, random: (more_positives(rows, random), None, 0),
        "positives 28 to 42 %, with outcomes": lambda rows, random: ((some := more_positives(rows, random)), outcomes(some), 0),
        "a strong number moves by half a deviation": lambda rows, random: (moved(rows, 0.5), None, 0),
        "a strong number moves by one deviation": lambda rows, random: (moved(rows, 1.0), None, 0),
        "a number is missing in a quarter": lambda rows, random: (with_gaps(rows, random), None, 0),
        "numbers no longer go together": lambda rows, random: (untied(rows, random), None, 0),
        "a fifth of the outcomes turns": lambda rows, random: (rows, turned(rows, random), 0),
        "a tenth of the rows is refused": lambda rows, random: (rows, None, len(rows) // 9),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="False alarms and delay of the monitoring.")
    parser.add_argument("--home", help="a finished home (default: EPOCH_HOME, else this repository)")
    parser.add_argument("--quiet", type=int, default=1_000, help="quiet replays")
    parser.add_argument("--replays", type=int, default=50, help="replays of each scenario")
    parser.add_argument("--every", default="week", choices=LOOKS_A_QUARTER)
    options = parser.parse_args()
    settings = load_settings(home=options.home) if options.home else load_settings()
    plan, bundle, examined = load_plan(settings), served_bundle(settings, "Production"), examined_model(settings)
    rows, version, budget, started = examined.rows, examined.version, Budget(every=options.every), time.monotonic()
    result = {"rows_per_look": len(rows) // 2, "reference_rows": len(rows) - len(rows) // 2, "every": options.every,
              "allowed_share_of_quiet_looks": budget.look, "alarms": asdict(Alarms()), "scenarios": {}}

    def one_look(change, random):
        order = random.permutation(len(rows))
        known, fresh = rows.iloc[order[len(rows) // 2:]], rows.iloc[order[:len(rows) // 2]]
        reference = reference_profile(known[bundle.input_columns], bundle.score(known), bundle.input_schema)
        changed, outcomes, refused = change(fresh, random)
        return look_at(served(bundle, reference, changed, outcomes, version, refused), examined._replace(rows=known), budget=budget)
    for number, (name, change) in enumerate(scenarios(plan, examined.importance).items()):
        random, quiet = np.random.default_rng(number), name.startswith("quiet")
        first, kinds, actions, delays = 0, {}, {}, []
        for _ in range(options.quiet // 2 if quiet else options.replays):
            found, delay = one_look(change, random), 1
            first += bool(found["causes"])
            for cause in {cause["kind"] for cause in found["causes"]}:
                kinds[cause] = kinds.get(cause, 0) + 1
            actions[found["action"]] = actions.get(found["action"], 0) + 1
            while not quiet and not found["causes"] and delay < MOST_LOOKS_A_QUARTER:
                found, delay = one_look(change, random), delay + 1
            delays.append(delay if found["causes"] else None)
        told = {"looks": len(delays), "rang_at_first": first, "share": round(first / len(delays), 4), "kinds": kinds, "proposals": actions}
        if not quiet:
            heard = [delay for delay in delays if delay]
            told |= {"mean_delay_in_looks": round(float(np.mean(heard)), 2) if heard else None, "never_in_10": delays.count(None)}
        result["scenarios"][name] = told
        print(f"{name}: {json.dumps(told)}", flush=True)
    result["seconds"] = round(time.monotonic() - started)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
