"""Treatment of every field that the API knows: the source of the table in docs/protocol.md."""
