"""Attention through torch's own operators, over keys that are gathered from the pool."""
