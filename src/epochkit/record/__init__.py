"""what happened: the ledger, its views, anchors, signatures, checkpoints

- `events`: One line of the record: its fields, the hash that seals them, and how a line is checked when it is read back.
- `ledger`: One append-only, hash-chained file holds everything that happened.
- `views`: The JSON files that people and programs read, drawn from the ledger and never edited.
- `anchors`: The hash of an event, noted in git, so that a record that was cut short or written anew no longer fits.
- `signatures`: Who decided, or who made a release, proven by a key that only they have: OpenSSH signs, a file of allowed signers says whose key it is.
- `checkpoints`: A long job saves how far it came and what comes next; after a crash it goes on from there.
- `actors`: What kind of actor writes into the record: a person, an agent, a program, or one that nobody named.
- `manifest`: Which files make a model, with the hash of each and of the evidence behind it, signed where there is a key.
"""
