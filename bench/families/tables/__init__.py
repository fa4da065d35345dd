"""Tables of the results of families: on the terminal, and in docs/models.md."""
