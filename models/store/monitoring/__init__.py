"""Statements about the server as a whole, as numbers: for metrics."""
