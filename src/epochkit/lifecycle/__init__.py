"""an epoch's run, its state and gate, what it depends on, tracking and verification

- `facts`: What an epoch's result depends on in code, what its files are, what it used, and who was at work: measured, not told.
- `gates`: A gate is a list of checks that look at artifacts and say pass, fail, skipped or what it follows from, with what was seen and what is allowed.
- `validity`: A decision counts for exactly what the person saw, and a rejection returns the project to an earlier epoch until it has run again.
- `state`: The state of each epoch, computed from the ledger and from the files as they are now.
- `run`: `begin` opens an epoch, `finish` closes it; between them it gets verified inputs and registers what it hands over.
- `resources`: Memory and file limits that hold on the file that was really written, a smaller step where the first was too large, and a progress
- `tracking`: Runs, metrics and model versions in MLflow, on a local SQLite store unless `MLFLOW_TRACKING_URI` says otherwise.
- `verify`: Chain, anchors, signatures, views, checkpoints, outputs, evidence and gates, each recomputed and compared with the record.
- `remedies`: What a person can do about a failing check or an error, under a code that stays the same.
- `latency`: How fast an answer comes when the machine has time for it, and how busy the machine was while that was measured.
"""
