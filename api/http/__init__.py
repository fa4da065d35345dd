"""JSON request bodies and error bodies."""
