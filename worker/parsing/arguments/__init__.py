"""Readers of the arguments of calls, which turn every notation into JSON as it is generated."""
