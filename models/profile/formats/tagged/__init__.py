"""Formats in which each argument has tags of its own."""
