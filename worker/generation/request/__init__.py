"""Requests to the engine, made from a response and its parameters."""
