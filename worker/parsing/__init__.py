"""Incremental parsing of generated tokens into reasoning, tool calls and answer."""
