"""Logits to tokens: penalties, grammar masks, truncation and sampling; independent of engines."""
