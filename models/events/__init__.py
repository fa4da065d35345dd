"""State machine of a response's events, without I/O."""
