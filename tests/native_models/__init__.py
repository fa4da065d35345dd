"""Tiny networks that write given turns, with the tokenizer and template of a family's notation."""
