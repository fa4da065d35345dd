"""Use that projects make of the server, counted by all processes together in Redis."""
