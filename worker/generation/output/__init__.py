"""Output of a response: its choices, made from tokens, and the rules that they keep to."""
