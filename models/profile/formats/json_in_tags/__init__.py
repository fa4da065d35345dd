"""Formats in which a call is a JSON object with its name and arguments, most between tags."""
