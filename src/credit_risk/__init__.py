"""What the demo project adds to the kit: its own rules, features and checks.

- `config`: Where this project's settings come from, and the few names of its subject that other rooms need.
- `error_handling`: The kit's errors under one roof, and the one error that only a lender knows: an application that cannot be true.
- `data_processing_utils`: From the source named in the plan to one clean table that every later epoch reads, with a count for every change.
- `data_loading_pipeline`: The tables and the single applications that come into this project, and what is refused at the door.
- `feature_engineering`: From clean columns to features a model can use: split first, everything fitted on training rows, every number traceable.
- `model_utils`: Which frameworks epoch 005 compares, and a scorecard: a model that a loan officer can add up on paper.
- `validation`: The sealed rows are opened once, and the model is held against the criteria that were written before it existed.
- `app_utils`: What a clerk reads where the data says `Seniority` or `bad`.
- `deployment`: How large the service is: what the deployment files of epoch 007 are filled with.
- `monitoring`: When served loan applications count as another kind of applications than those the model was tested on.
- `serving`: The API of this project's model, as an object that any ASGI server can run.
- `streamlit_components`: One application at a glance, beside the advice that it got.
"""

__version__ = "0.1.0"
