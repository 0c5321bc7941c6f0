"""executes the epochs

- `progress`: Which cell runs, how far it is, what it takes: on the terminal, and in a file that anyone may read while it runs.
- `notebook`: Runs a notebook in a kernel of its own through papermill, and says for itself whether all of it ran and why not.
- `epochs`: Executes what is due, checks for itself that every cell ran, and stops where a person must decide.
- `for_programs`: What `epoch run --json` says: lines of JSON on stderr while it works, one JSON document on stdout at its end.
- `kernel_ahead`: A run of several epochs starts the kernel of the next one while the last cells of this one are at work, so that nobody waits for imports.
"""
