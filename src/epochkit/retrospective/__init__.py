"""008: plan and outcome, and the playbook

- `comparison`: What was planned, and what happened: every number read from the record.
- `playbook`: What the next project should know: lessons per role, recommendations for all, and measured figures that make estimates closer.
"""
