"""003: columns that know the answer

- `single_column`: What one column alone predicts, and what such a score is worth; each check says what it saw, in a sentence and in numbers.
- `copies`: The answer in another dress: a copy of the target, a label or a word that stands for it, cells that only one class has.
- `relations`: The answer may be spread: over the parts of a total, over two dates, over rows that come later.
- `splits`: What training and validation share that they must not: rows, groups, and anything that tells the two apart.
- `audit`: Finds columns that know the answer before the question is asked, and says what gave them away.
"""
