"""Statements about API keys and projects."""
