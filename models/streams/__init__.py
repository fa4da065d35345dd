"""Data in Redis: event logs, wake-up messages and the content of unstored requests.

All of it may be lost at any time; Postgres is the source of truth.
"""
