"""002: quality, contract, loading

- `contract`: `schema.toml` says what a batch has to look like; the kit writes the first one, a person edits it, the next batch is held against it.
- `violations`: A table held against a contract: which rule is broken in which column, by how many cells, in which rows.
- `schema`: `schema.json` says exactly what is there: types, gaps, labels and limits of the delivered table, as the strictest contract it keeps.
- `quality`: Scores of how good the clean table is, and a dictionary of its columns.
- `parts`: Cleaned parts become one table; only here rows are compared across chunks.
- `loading`: From any source to one clean `data.parquet`, chunk by chunk; killed anywhere and run again, it ends with the same bytes.
- `report`: The pictures and the page of epoch 002: what was missing and where, how good it is now, how the numbers are spread and go together.
- `gate`: What was delivered, what was changed and what is left, in one report; and the checks that open the files and count again.
- `openlineage`: What epoch 002 did, in the words of OpenLineage, so that any catalogue that speaks it can read where each column comes from.
- `profile_page`: Which columns look personal and what was done with each, what cleaning did to the target, and each column of the clean table in a line.
"""
