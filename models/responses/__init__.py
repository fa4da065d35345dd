"""Responses: the stored record, its states and the object that clients see."""
