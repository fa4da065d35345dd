"""Generation of one response, from its claim to its end."""
