"""the ground: errors, settings, files, the brief, the project and its rooms, the memory guard

- `errors`: One family of errors: each says what, where, seen versus allowed and the next step, and knows its exit code.
- `settings`: Where things live and which settings hold, read once, frozen, and passed on.
- `files`: JSON and text that are either the old file or the new one, never half of it, and the hash that tells them apart.
- `key_reads`: An epoch depends on what it read, not on the whole file: another latency limit retrains no model.
- `brief`: What the business wants, as one small TOML file that is checked before anything runs.
- `memory_guard`: A heavy step in a process of its own that cannot take more memory than it was given, and an error instead of a dead session.
- `project`: What a data scientist owns: a small package of rooms, each with the epoch it belongs to.
- `toml_text`: Settings written as TOML, over an older text where there is one: its comments, its order and its blank lines stay.
- `pickles`: A pickle names the module of each class; this table says where those modules are today.
- `notebook_text`: A notebook as git keeps it: what a person wrote, without what running it left behind.
- `processes`: A process and all that it started are asked to stop, or ended, on every system.
- `services`: What a run stands on is asked once, before any work, and what is wrong with it is one sentence with the way out.
- `workers`: A few processes that make one call after the other; each call comes back with its time and memory, and none can take the session with it.
- `outbox`: What cannot be sent now is kept on disk, in its order, and sent when the server answers again; nothing is sent twice.
- `domino`: What the platform says of a run, read in one place; nothing that it reserves is ever set.
- `cluster`: The same calls on the machines of a Dask cluster, which makes anew what is lost there.
- `ahead`: The next piece is read while this one is worked on: the same pieces in the same order, and both cores at work.
- `tables`: A table too large for one file is a folder of Parquet parts with a list of them; whoever reads one file reads the folder in the same way.
"""
