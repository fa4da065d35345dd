"""The pure state machine of a response's events."""
