"""Checks of an installation: each finding says what is wrong and what to do about it."""
