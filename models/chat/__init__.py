"""Conversion of items to the token ids of a prompt."""
