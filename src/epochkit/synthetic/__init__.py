"""tables with a known truth

- `copula`: The distributions and rank correlations of a table, fitted once, from which any number of new rows is drawn.
- `columns`: A column of invented data in one line: its name, its distribution, and what it depends on.
- `layouts`: Where a row stands: in time, in a unit's life, in a store's calendar.
- `outcomes`: How a target follows from the true signal, and what a domain of invented data is made of.
- `panels`: Domains of the same thing again and again over time: machines until they fail, stores day by day.
- `domains`: Kinds of business data, each one specification in one cell: columns, what they depend on, and the true signal.
- `table`: A domain at a wished size: so many rows and features, missing cells, outliers, drift, and a leak on request.
- `source`: `synthetic:churn?rows=50000` is a table like any other, with the difference that the truth about it is known.
- `twin`: A table of new rows with the distributions, links and rules of the real one and none of its rows: safe to show around, and it says where it differs.
"""
