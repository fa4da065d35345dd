"""Recording of a response: its events are numbered, logged, and archived at its end."""
