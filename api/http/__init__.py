"""JSON bodies and error bodies."""
