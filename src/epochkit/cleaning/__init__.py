"""values as they are meant: parsing, steps, profile, personal data

- `parsing`: Numbers, quantities with a unit and dates as people write them, read from text without guessing.
- `personal_data`: Columns that hold e-mail addresses, phone numbers, account or card numbers are found; what the brief says is hashed or masked.
- `steps`: What every table gets, one small step at a time; a step gives back only the columns it looked at.
- `column_stats`: What is counted of one column, chunk by chunk, and the kind of the column that follows from it.
- `profile`: One pass over the source decides what each column is and how it is spelt, and notes what a person should look at.
- `cleaner`: Small named steps turn a raw chunk into clean rows; each says how many rows and cells it touched, and shows some of them.
- `raw_rows`: The cleaning of epoch 002 for the rows that come later: the same steps, one row or a million, and an error where a cell cannot be read.
- `order_rules`: Which number never exceeds which other one, and which end never lies before which start: found in the rows, and counted where it fails.
- `small_tables`: A few rows as plain arrays, with the operations of pandas that rules and features of a project are written in: the same values, a fiftieth of the time.
- `distinct`: How many values a column has, which labels, and how many rows repeat an earlier one, of a table that need not be in memory.
- `years`: Which columns hold calendar years, and which of their values can be none.
"""
