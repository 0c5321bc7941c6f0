"""004: from clean columns to features

- `encoders`: Typed columns in, plain numbers out, and for every number its formula and the constants that were learned.
- `selection`: Pairs of columns give thousands of candidates: only those that say something new, beyond chance, become features.
- `transformers`: New numbers from old columns: parts of dates, topics of texts, pairs of numbers, and numbers held against their group.
- `lags`: What was known before: earlier values of the same group, strictly past, the same for a row alone and for a row among a million.
- `derived`: A project's own features: small functions with a name, their source columns and a formula, and the proof that a row alone is enough.
- `pipeline`: One pipeline from a raw row to model-ready numbers, fitted on training rows only, and able to say where each number comes from.
- `ablation`: What each group of features adds, measured on rows it did not see, with an interval: what adds nothing is left out.
- `review`: Which columns become features and why, how much each matters, and the checks that keep leaks and overlaps out.
- `figures`: One function per picture: it draws, and it returns the one claim that the picture makes.
- `own_features`: What each feature that a person wrote gains, by name and with its interval; what is left out is named, and a key of the brief keeps it.
- `arrays`: The features of a fitted pipeline, computed with arrays: the same values, without what a table costs for a single row.
- `by_part`: What 004 hands on for a table that is not in memory: fitted on a part of the training rows, made for all rows a group at a time.
"""
