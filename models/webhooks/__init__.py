"""Signed webhook messages."""
