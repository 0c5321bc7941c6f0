"""006: the sealed rows and the criteria

- `report`: The sealed test rows are opened once, and the model is measured the way it will be used.
- `gate`: The model is held against the criteria that were written before it existed.
- `functional`: Is each demand of the plan met, how sure is that, and what is the decision worth in the brief's money?
- `fairness`: Who gets the favourable answer, per protected column, and whether the groups differ by more than the plan accepts.
- `segments`: Where the model is worst: the slices of rows that cost most, with their size, and how sure that is.
- `explanation`: Which columns make the scores, over all rows, told by the served bundle itself.
- `behaviour`: What must hold whatever the score is: which way a column moves it, and what it may not react to.
- `edge_cases`: Every odd value for every column, and odd values together, asked of the service itself: each ends in a score or in one clear error.
- `adversarial`: How little it takes to turn a decision, and what a disturbed column costs, each against what chance does anyway.
- `overfit_checks`: Nine questions about a model that looks good, each with a code that stays, a page that says what to do, and a reason where it is muted.
- `compliance`: Each duty of the plan with the file that shows it, or "open"; and a draft of the technical documentation that a high-risk system needs.
- `gate_checks`: Behaviour, overfit, coverage and duties at the gate: four checks over what the notebooks before measured.
- `score_figures`: What the scores tell apart, what they mean and what a threshold costs: each picture with one claim, computed from the test rows.
- `rule_gain`: What the model gains over what the business does now, on the same test rows, with its interval.
- `report_markdown`: What epoch 006 found, as Markdown that can be read in a review tool and compared line by line.
- `input_ranges`: For each range of each input: what was predicted, what was really so, and how large the error is.
"""
