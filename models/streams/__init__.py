"""What lives in Redis: event logs, nudges and requests that are not stored.

All of it may be lost at any time: the truth is in the store.
"""
