"""008: plan and outcome, and the playbook

- `comparison`: What was planned, what happened, and what the next project should know: every number read from the record.
"""
