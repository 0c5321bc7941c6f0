"""Phase 2 of epoch 005: tunes the winner of phase 1, registers it and writes the six tuning files.

    python epoch005-model-development/scripts/tune_best_model.py [--trials 30]

Works on $EPOCH_HOME (default: this repository). Typed by hand it is a run of epoch 005 that keeps phase 1 as it stands
and computes the gate again; the notebook calls `tune_within` and hands the files over itself. Stopped at any moment and
called again with the same number of trials it goes on with the first unfinished one.
"""
import argparse
import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from epochkit.core.settings import load_settings
from epochkit.core.errors import DependencyError, PipelineError, explain
from epochkit.models.resume import clear_work
from epochkit.core.memory_guard import limit_this_process
from epochkit.models.registration import hand_over, tune_best_model
from epochkit.lifecycle.run import EpochRun, begin


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tune the winner of phase 1 and register it.")
    parser.add_argument("--trials", type=int, default=None, help="number of combinations (default: the plan's budget)")
    given = parser.parse_args(arguments)
    if given.trials is not None and given.trials < 1:
        parser.error(f"--trials is {given.trials}: give 1 or more")
    try:
        return tune_by_hand(given.trials)
    except PipelineError as error:
        print(explain(error), file=sys.stderr)
        return error.exit_code


def tune_within(run_id: str, trials: int | None, died: str = "") -> dict[str, Any]:
    "Tunes inside a run that is already open; returns the summary. `died`: why the process that did this before ran out of memory"
    run = EpochRun(5, load_settings(), {})
    run.id = run_id
    return tune_best_model(run, trials, died)


def tune_by_hand(trials: int | None) -> int:
    "Tunes as a run of its own, on what the notebook left"
    settings = load_settings()
    if not (settings.artifacts(5) / "best_model_info.json").is_file():
        raise DependencyError("phase 1 has not run yet: run 'epoch run 5' or the notebook model_training.ipynb first")
    run = begin(5, settings, tuning_trials=trials or 0)
    limit_this_process(settings.memory_gb)
    summary = tune_best_model(run, trials)
    hand_over(run)
    report = run.finish()
    clear_work(run)
    if summary["resumed"]:
        print(summary["resumed"], file=sys.stderr)
    print(f"{summary['finding']}\nversion {summary['version']}, {summary['trials']} trials, {summary['seconds']:.1f} s, "
          f"gate {'passed' if report.passed else 'failed'}")
    for check in report.failures:
        print(f"  {check.name}: observed {check.observed}, limit {check.limit} {check.reason}", file=sys.stderr)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
