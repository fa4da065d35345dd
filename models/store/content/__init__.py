"""Encryption of content in rows: the only code that knows its form in the tables."""
