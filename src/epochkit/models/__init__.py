"""005: frameworks, candidates, tuning, the bundle

- `metrics`: The same numbers for every model, each with its 95 % interval, from one weighted implementation.
- `resume`: Each model that is trained and each trial that is done goes to disk at once; after a crash only what was not finished is done again.
- `bundle`: Raw row in, score out: the fitted feature pipeline and the model in one file, opened only when its hash is the recorded one.
- `gate`: Ten files that parse, agree with each other and with MLflow, and a winner that is worth having.
- `candidates`: Every framework asked about the same rows by the same folds; who ties with the best, what each costs, and which one goes on.
- `tuning`: Only the winner of phase 1 is tuned, within a budget of trials, and what it gained is measured on folds that the search never saw.
- `figures`: Four pictures: every framework beside its rivals, the winner's errors, which parameter mattered, and the best trials.
- `registration`: Phase 2 from start to end: tune the winner, bundle it with its features, register it, and write the six files.
- `tune`: `epoch tune`: phase 2 of epoch 005 again, alone, as a run of its own on what phase 1 left.
- `scoring`: Any table, of any size, with its scores beside the rows: chunk by chunk, resumed where it was killed, finished in one move.
- `learning_curves`: Would more rows help, and did training stop where it should: the winner fitted again on parts of the rows, and with fewer and more rounds.
- `fold_figures`: What the model that is handed on tells apart, which mistakes it makes at its threshold, and which features it leans on: all of it on rows that were not learned from.
- `contributions`: What each column adds to an answer, told by the served bundle itself, for a report of many rows or for one row at the service.
- `smallest_change`: The nearest value of one column with which the model says something else.
- `model_rows`: All rows with features where they fit, else a part by chance that keeps the shares of the classes and whole groups; kept as two files, so that every later number is of the same rows.
- `shared_study`: Where `OPTUNA_STORAGE` names a database, each finished trial of a search is shown there too.
"""
