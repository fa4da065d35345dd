"""One response from its claim to its end."""
