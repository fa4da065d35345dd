"""Encryption of what clients send back, and of what Redis holds of unstored responses."""
