"""Validation of requests before anything is written to the database."""
