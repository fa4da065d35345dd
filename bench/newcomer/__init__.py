"""Timing of the first steps of a newcomer, from a fresh clone to the first answer."""
