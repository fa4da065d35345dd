"""The worker process: its threads, its lease, and its start and stop."""
