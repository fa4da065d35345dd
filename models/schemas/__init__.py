"""Pydantic types of what clients send and receive."""
