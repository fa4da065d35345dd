"""Grammars of tool calls: their arguments in every notation, and the output around them."""
