"""Conversion of output formats and tool choices to llguidance grammars."""
