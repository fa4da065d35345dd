"""Limits of projects at the door of the API: rates, headers, and memory of what is refused."""
