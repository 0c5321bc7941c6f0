"""006: the sealed rows and the criteria

- `report`: The sealed test rows are opened once, and the model is measured the way it will be used.
- `gate`: The model is held against the criteria that were written before it existed.
- `functional`: Is each demand of the plan met, how sure is that, and what is the decision worth in the brief's money?
- `fairness`: Who gets the favourable answer, per protected column, and whether the groups differ by more than the plan accepts.
- `segments`: Where the model is worst: the slices of rows that cost most, with their size, and how sure that is.
- `explanation`: Which columns make the scores, over all rows and for a single one, told by the served bundle itself.
- `score_figures`: What the scores tell apart, what they mean and what a threshold costs: each picture with one claim, computed from the test rows.
"""
