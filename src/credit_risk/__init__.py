"""What the demo project adds to the kit: its own rules, features and checks.

- `data_processing_utils`: From the source named in the plan to one clean table that every later epoch reads, with a count for every change.
- `feature_engineering`: From clean columns to features a model can use: split first, everything fitted on training rows, every number traceable.
"""

__version__ = "0.1.0"
