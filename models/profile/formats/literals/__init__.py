"""Formats in which a call reads like one of a programming language."""
