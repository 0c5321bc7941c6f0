"""003: measurements, findings, figures

- `associations`: How strongly two columns have to do with each other, whatever their kinds, on one scale from 0 to 1.
- `columns`: What each column looks like, what it has to do with the target, and what is odd about it, as plain tables.
- `missing_and_outliers`: Why cells are missing and which values are odd: by evidence, because both decide what may be imputed, clipped or kept.
- `time`: What time does to the table: a trend, a season, a memory, columns that drift, stretches without any row, and what date columns tell.
- `groups`: How rows hang together in groups, and how many independent rows a table really has.
- `relations`: How the columns hang together: every pair on one scale, columns that say the same, and pairs that tell more together.
- `explore`: All tables of the exploration at once, from the same rows, so that text, figures and files cannot disagree.
- `structure_findings`: What gaps, odd rows, pairs, time, groups, dates, texts and protected columns mean for the project, as sentences.
- `recommendations`: What epoch 004 should do with each column, each by a rule that can be read here and with its reason in a sentence.
- `findings`: Statistics become sentences: what was seen, what follows from it, and what to do.
- `column_figures`: One function per picture: it draws, and it returns the one claim that the picture makes.
- `relation_figures`: How columns hang together, where cells are missing together, and which rows are odd: one picture, one claim.
- `figures`: The pictures in the order of the story, asked for by name: those of time, groups, words and protected columns are drawn here.
- `cards`: All that is known of one column in one place: what it holds, what is missing, what is odd, what it says about the target, and what is advised.
"""
