"""Encrypted content that clients carry: reasoning and compactions."""
