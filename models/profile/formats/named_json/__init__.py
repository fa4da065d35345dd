"""Formats in which a call is the function's name, followed by the arguments in JSON."""
