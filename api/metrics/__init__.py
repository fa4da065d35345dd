"""Metrics of the whole server: what the processes have published, and the state of the queue."""
