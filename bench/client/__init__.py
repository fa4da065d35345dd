"""Load: requests, streams and what they are about."""
