"""one look for pages, figures and panels

- `values`: One way to write a number, a time, a piece of evidence and a text inside HTML, wherever the kit shows something.
- `theme`: One look for the panel, the control room, the reports and the app: the same colours, chips, bars and tables everywhere.
- `tables`: Tables of notebooks and reports: words at the left, numbers at the right with the digits they deserve.
- `figures`: Figures whose title is their claim, saved twice, and one page design for every report.
- `pages`: An executed notebook becomes one HTML file that anyone can open, offline, years later.
- `progress_bars`: Long work shows one bar while it lasts and leaves one line: how much, how long, how much memory.
- `claims`: A sentence that knows its numbers: what each is of, on how many rows, in which unit, by which rule.
- `answers`: A story answers its question under the question, in one sentence, as soon as it knows the answer.
"""
