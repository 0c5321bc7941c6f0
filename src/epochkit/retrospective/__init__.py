"""008: plan and outcome, and the playbook

- `comparison`: What was planned, and what happened: every number read from the record.
- `playbook`: What the next project reads: measured times and memory that make its estimates closer, what helped, and what to avoid.
- `project_record`: What the eight epochs left behind, opened once: the only thing that a retrospective may speak from.
- `what_if`: What other choices would have brought, recomputed from what was stored, each with its 95 % interval; what was not stored is said, and not guessed.
- `lessons`: What each role learned: a number from the record, what follows from it, and what to change; by rules, so that another project reads differently.
- `figures`: Five pictures of a finished project, each with one sentence that its own numbers were put into.
"""
