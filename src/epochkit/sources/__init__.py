"""tables from files, databases, the web and packages

- `base`: A raw table that is read in chunks of exactly the size asked for, again and again the same way.
- `secrets`: An address in the brief names a secret, the environment holds it, and nothing that is shown or kept ever does.
- `database_values`: Python values, as a database driver hands them over, become columns of one type that holds for the whole table.
- `database`: A table or a query of any database that SQLAlchemy knows, read in one order, in bounded memory, without writing to it.
- `catalog`: One line of the brief, such as `file:loans.csv`, becomes a table that is read in pieces, always the same way.
- `no_records`: A header again, a line of units, a total, a note below the table: told from a record by what the table itself says.
- `object_store`: `s3://bucket/place`: an object, or all objects under a place, of an S3-compatible store; copied once and read like files.
- `kept`: What comes from elsewhere is fetched once, sealed, and read like a file; how old the copy may be stands in the address.
"""
