"""what an agent may read and run: context, explanations, the MCP server

- `context`: What the epochs before handed over, so that nobody who takes up the next one has to guess: `epoch context N`.
- `explain`: What a check looks at, why it fails and what to do, by its code: `epoch explain 005/winner-beats-the-baseline`.
- `mcp_server`: The record to read and epochs to run, for an agent that speaks the Model Context Protocol: `epoch mcp`.
- `drafting`: Prose for 001 and 008 that a model writes from the record: marked as such, and without a number that the record does not hold.
"""
