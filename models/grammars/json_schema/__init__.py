"""Passes that rewrite a JSON schema to one that llguidance enforces exactly, or refuse it."""
